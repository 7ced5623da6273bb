"""Run the benchmarks that take minutes, write their tables, and name those that take longer."""

import subprocess
import sys

from benchmarks import couplings

LONGER = {
    "python -m benchmarks.fit --json": "an hour and a half for all targets and ten seeds",
    "python -m benchmarks.fit_images --json": "half an hour",
}

if __name__ == "__main__":
    couplings.main()
    # Each in a process of its own, so that its peak memory is its own.
    done = subprocess.run([sys.executable, "-m", "benchmarks.peers"], check=False)
    print("\nThese take longer, stop and resume:")
    for command, time in LONGER.items():
        print(f"  {command}    {time}")
    sys.exit(done.returncode)

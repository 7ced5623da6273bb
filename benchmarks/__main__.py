"""Run every benchmark and write its table."""

from benchmarks import couplings

if __name__ == "__main__":
    couplings.main()

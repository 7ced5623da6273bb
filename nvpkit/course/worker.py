"""The grading processes: a trunk that has imported everything, and a keeper and a doer forked for each submission.

The trunk reads jobs as lines of JSON and forks a keeper for each. The keeper forks the doer, which grades, holds it to
its time, and ends whatever processes the student's code left behind. Nobody shares memory or files with a classmate's
code, and when the parent dies, everything below it dies too. Run as `python -m nvpkit.course.worker`.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from nvpkit.course.kernel import die_with_parent

OVER_TIME = 3
MARGIN = 60.0  # seconds beyond a submission's own limit: start of the kernel, judging, writing


def _children(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


def _adopt_orphans() -> None:
    """On Linux: processes that a student's code detached become children of this process, not of init."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(36, 1)


def _end_all_below() -> None:
    """Kill every process below this one, as often as new ones appear."""
    for _ in range(50):
        below = _children(os.getpid())
        if not below:
            return
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _do(job: dict) -> None:
    from nvpkit.course.submission import Job, grade_submission

    die_with_parent()
    os.environ.update(job["env"])  # the judge looks for data where the kernel does
    grade_submission(Job(**job))


def keep(job: dict) -> int:
    """Grade one submission in a child, within its time; 0, or OVER_TIME, or 128 + the signal that ended the child."""
    die_with_parent()
    os.setsid()
    _adopt_orphans()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _do(job)
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + job["limits"]["submission"] + MARGIN
    code = OVER_TIME
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code
            break
        time.sleep(0.02)
    _end_all_below()
    return code


def trunk() -> None:
    """Read jobs from stdin, one JSON line each; write `{"job": id, "code": exit code}` for each that is done."""
    die_with_parent()
    import nbgrader.utils  # noqa: F401
    import zmq  # noqa: F401

    import nvpkit.checks
    import nvpkit.course.submission  # noqa: F401

    # The results go through a copy of stdout: nothing that a library prints can end up between them.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    running: dict[int, int] = {}
    buffer, source = b"", sys.stdin.buffer.raw
    open_ = True
    while open_ or running:
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            code = os.waitstatus_to_exitcode(status)
            out.write(json.dumps({"job": running.pop(pid), "code": code if code >= 0 else 128 - code}) + "\n")
        if not open_ or not select.select([source], [], [], 0.05)[0]:
            time.sleep(0 if open_ else 0.05)
            continue
        data = source.read(65536)
        if not data:
            # The parent is gone or wants no more: what still runs is ended.
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            open_ = False
            continue
        buffer += data
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            job = json.loads(line)
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.close(0)
                    os.close(out.fileno())
                    code = keep(job["job"])
                finally:
                    os._exit(code)
            running[child] = job["id"]


if __name__ == "__main__":
    trunk()

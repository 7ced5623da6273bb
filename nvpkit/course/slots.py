"""The parent's side of the grading processes: hands out jobs, and hears what became of each."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict

from nvpkit.course.submission import Job
from nvpkit.course.worker import OVER_TIME
from nvpkit.errors import CourseError


def what_happened(code: int) -> str:
    """The end of a grading process that left no record, in words."""
    if code == OVER_TIME:
        return "the submission took far longer than its time limit and was ended from outside"
    if code == 137:
        return "the grading process was killed from outside (by the machine for lack of memory, or by the submission)"
    if code > 128:
        return f"the grading process ended with signal {code - 128}"
    return f"the grading process ended with exit code {code}"


def _start() -> subprocess.Popen:
    if not hasattr(os, "fork"):
        raise CourseError("Grading needs Linux or macOS: on Windows, run it in WSL.")
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    # The secret of the course stays here: the grading processes get seeds.
    env.pop("NVPKIT_COURSE_SECRET", None)
    return subprocess.Popen([sys.executable, "-m", "nvpkit.course.worker"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env=env, start_new_session=True)


def run_jobs(jobs: list[Job], workers: int, done: Callable[[Job, int], None]) -> None:
    """Run every job in a process of its own, `workers` at a time; `done(job, exit code)` is called after each."""
    # The parent owns the scratch folders: they go even where a submission killed the process that used one.
    with tempfile.TemporaryDirectory(prefix="nvpk-", ignore_cleanup_errors=True) as scratch:
        for number, job in enumerate(jobs):
            job.scratch = os.path.join(scratch, str(number))
        _run_all(jobs, workers, done)


def _run_all(jobs: list[Job], workers: int, done: Callable[[Job, int], None]) -> None:
    waiting = list(reversed(list(enumerate(jobs))))
    while waiting:
        trunk, running = _start(), {}
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    number, job = waiting.pop()
                    running[number] = job
                    try:
                        trunk.stdin.write((json.dumps({"id": number, "job": asdict(job)}) + "\n").encode())
                        trunk.stdin.flush()
                    except BrokenPipeError:
                        break
                line = trunk.stdout.readline()
                if not line:
                    break
                answer = json.loads(line)
                done(running.pop(answer["job"]), answer["code"])
        finally:
            trunk.stdin.close()
            trunk.wait()
            trunk.stdout.close()
        # Only a dead trunk leaves jobs behind: they are told, and a fresh trunk takes the others.
        for job in running.values():
            done(job, trunk.returncode if trunk.returncode > 0 else 128 - trunk.returncode)

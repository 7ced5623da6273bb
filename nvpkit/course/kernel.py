"""One kernel for one submission: started with limits and a clean environment, talked to cell by cell, then killed.

Run as `python -m nvpkit.course.kernel <memory> <file size> <arguments of ipykernel>` it is the small program that sets
the limits and then becomes the kernel.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

MOST_OUTPUT = 400_000  # characters of one cell that are kept; the rest is counted, not stored
MOST_PICTURE = 6_000_000
WARM_UP = "for name in ('torch', 'matplotlib.pyplot', 'nvpkit.checks'): __import__(name)\ndel name"
GRACE = 4.0  # seconds between the interrupt and the kill


@dataclass
class CellResult:
    """What running one cell gave; `state` is ok, error, timeout (interrupted), hung or dead (the kernel is gone)."""

    state: str
    outputs: list = field(default_factory=list)
    seconds: float = 0.0
    count: int | None = None


def die_with_parent() -> None:
    """Let the kernel of Linux end this process when its parent ends; elsewhere nothing."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def command(connection: Path, memory: int, file_size: int) -> list[str]:
    """The command line of the kernel: the one place where a sandbox can be wrapped around it."""
    return [sys.executable, "-m", "nvpkit.course.kernel", str(memory), str(file_size), "-f", str(connection)]


def environment(scratch: Path, extra: dict[str, str]) -> dict[str, str]:
    """A clean environment: nothing of the instructor's but the PATH, a home of its own, one thread, no display."""
    env = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(scratch),
        "TMPDIR": str(scratch / ".tmp"),
        "IPYTHONDIR": str(scratch / ".ipython"),
        "MPLCONFIGDIR": str(scratch / ".matplotlib"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        # Graded on the CPU: the same numbers on every machine, and the limit on memory holds.
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONDONTWRITEBYTECODE": "1",
        "JPY_PARENT_PID": str(os.getpid()),
    }
    return env | extra


class Kernel:
    """A running kernel with its scratch folder as working folder and home."""

    def __init__(self, scratch: Path, work: Path, extra: dict[str, str], memory: int, file_size: int):
        from jupyter_client.blocking import BlockingKernelClient
        from jupyter_client.connect import write_connection_file

        for name in (".tmp", ".ipython", ".matplotlib"):
            (scratch / name).mkdir(exist_ok=True)
        # ipc: no port that a classmate's kernel could connect to. The path must stay short: sockets allow 107 bytes.
        connection, _ = write_connection_file(
            str(scratch / ".k.json"), transport="ipc", ip=str(scratch / ".k"), key=os.urandom(16).hex().encode())
        self.log = scratch / ".kernel.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command(Path(connection), memory, file_size), cwd=work, env=environment(scratch, extra),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.client = BlockingKernelClient(connection_file=connection)
        self.client.load_connection_file()
        self.client.start_channels()
        try:
            self._wait_until_ready(60)
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive:
            # Both channels have to answer: the first messages of a cell would be lost on one that is not connected.
            if self.run("", 5.0, idle_wait=0.3).count is not None:
                # The slow imports happen here, before the clock of the first cell runs.
                self.run(WARM_UP, 120.0, store=False)
                return
        said = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise RuntimeError(f"the kernel did not start: {said[0]}")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def run(self, source: str, timeout: float, idle_wait: float = 3.0, store: bool = True) -> CellResult:
        """Run one cell; a cell over its time is interrupted, one that swallows the interrupt loses its kernel."""
        import zmq

        started = time.monotonic()
        asked = self.client.execute(source or "None", store_history=store and bool(source), allow_stdin=False,
                                    stop_on_error=False)
        collector, shell, iopub = _Collector(), self.client.shell_channel.socket, self.client.iopub_channel.socket
        poller = zmq.Poller()
        poller.register(shell, zmq.POLLIN)
        poller.register(iopub, zmq.POLLIN)
        deadline, interrupted, reply, idle, heard = started + timeout, False, None, False, started
        while not (reply and idle):
            ready = dict(poller.poll(200))
            now = time.monotonic()
            if iopub in ready and (message := self._receive(iopub, asked)):
                idle = collector.take(message) or idle
                heard = now
            if shell in ready and (message := self._receive(shell, asked)):
                reply, heard = message, now
            if not ready and not self.alive:
                return CellResult("dead", collector.finish(), now - started, None)
            # Under a flood the idle message itself can be lost: the reply is enough, a moment later.
            if reply and now - heard > idle_wait:
                break
            if now > deadline and not reply:
                if interrupted:
                    self.close()
                    return CellResult("hung", collector.finish(), now - started, None)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGINT)
                interrupted, deadline = True, now + GRACE
        content = reply["content"]
        state = "timeout" if interrupted else "error" if content.get("status") == "error" else "ok"
        count = content.get("execution_count") if idle else None
        return CellResult(state, collector.finish(), time.monotonic() - started, count)

    def _receive(self, socket, asked: str) -> dict | None:
        """The next message when it answers our request; None for others and for forged ones."""
        import zmq

        try:
            _, message = self.client.session.recv(socket, mode=zmq.NOBLOCK)
        except Exception:
            return None
        ours = message is not None and message.get("parent_header", {}).get("msg_id") == asked
        return message if ours else None

    def close(self) -> None:
        """End the kernel and its process group at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(Exception):
            self.client.stop_channels()


class _Collector:
    """Turns messages of one cell into notebook outputs, and stops storing when there are too many."""

    def __init__(self):
        self.outputs, self.room, self.pictures, self.lost = [], MOST_OUTPUT, MOST_PICTURE, 0

    def take(self, message: dict) -> bool:
        """Keep what the message shows; True when it says that the cell is done."""
        from nbformat.v4 import output_from_msg

        what = message["msg_type"]
        if what == "status":
            return message["content"].get("execution_state") == "idle"
        if what == "clear_output":
            self.outputs.clear()
        if what not in ("stream", "display_data", "execute_result", "error"):
            return False
        output = output_from_msg(message)
        size = len(str(output))
        if "data" in output and size <= self.pictures:
            self.pictures -= size
            self.outputs.append(output)
        elif "data" in output or size > self.room:
            self.lost += size
        elif what == "stream" and self.outputs and self.outputs[-1].get("name") == output["name"]:
            self.room -= size
            self.outputs[-1]["text"] += output["text"]
        else:
            self.room -= size
            self.outputs.append(output)
        return False

    def finish(self) -> list:
        from nbformat.v4 import new_output

        if self.lost:
            text = f"\n... {self.lost} more characters of output were not kept.\n"
            self.outputs.append(new_output("stream", name="stdout", text=text))
        return self.outputs


def main() -> None:
    """Set the limits of this process, then become the kernel."""
    die_with_parent()
    memory, file_size, *arguments = sys.argv[1:]
    try:
        import resource
    except ImportError:
        resource = None
    if resource is not None:
        limits = [(resource.RLIMIT_FSIZE, int(file_size)), (resource.RLIMIT_CORE, 0)]
        if sys.platform == "linux":
            limits.append((resource.RLIMIT_AS, int(memory)))
        for what, value in limits:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(what, (value, value))
    os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *arguments])


if __name__ == "__main__":
    main()

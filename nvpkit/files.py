"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path, write):
    """Let ``write`` fill a file beside ``path``, then move it into place: a reader, or a run killed half-way, sees the
    old content or the new one. Makes the folder where it is missing.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", lambda draft: draft.write_text("done"))
    ...     os.listdir(folder)
    ['note.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        write(Path(name))
        with open(name, "rb") as draft:
            os.fsync(draft.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise

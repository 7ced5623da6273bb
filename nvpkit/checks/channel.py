"""Carries values from the kernel to the judge in an npz file without pickle, and reads such a file with suspicion."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import torch

from nvpkit.checks.values import clean_text
from nvpkit.files import write_atomically

LARGEST_FILE = 64 * 2**20
LARGEST_MEMBER = 16 * 2**20
MOST_MEMBERS = 4000
_KINDS = "fiubU"


class BadValues(Exception):
    """A file of values is missing, damaged or not what it says; the text is one sentence."""


def pack(outputs: dict) -> dict[str, np.ndarray]:
    """Return the outputs as plain arrays: tensors, numbers and texts; anything else becomes a text."""
    packed = {}
    for name, value in outputs.items():
        if isinstance(value, torch.Tensor):
            try:
                array = np.array(value.detach().cpu().numpy())
            except (TypeError, RuntimeError):
                array = np.array(clean_text(f"a tensor of dtype {value.dtype}"))
        elif isinstance(value, bool | int | float):
            array = np.array(float(value))
        else:
            array = np.array(clean_text(value))
        packed[str(name)] = array
    return packed


def unpack(arrays: dict[str, np.ndarray]) -> dict:
    """Return packed arrays as tensors and texts."""
    outputs = {}
    for name, array in arrays.items():
        if array.dtype.kind == "U":
            outputs[name] = clean_text(str(array)) if array.ndim == 0 else ""
        elif array.dtype.kind in "fiub" and array.dtype.itemsize <= 8:
            outputs[name] = torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape).copy())
    return outputs


def write(path: Path | str, runs: dict[int, dict]) -> None:
    """Write the outputs of each seed to one npz file, whole or not at all."""

    def fill(draft: Path) -> None:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
            for seed, outputs in runs.items():
                for name, array in pack(outputs).items():
                    member = io.BytesIO()
                    np.lib.format.write_array(member, array, allow_pickle=False)
                    archive.writestr(f"{seed}/{name}.npy", member.getvalue())

    write_atomically(path, fill)


def read(path: Path | str) -> dict[int, dict]:
    """Return the outputs of each seed; BadValues for whatever is not a plain file of plain arrays."""
    try:
        content = _bytes_of(path)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _runs(archive)
    except BadValues:
        raise
    except FileNotFoundError as error:
        raise BadValues("No values arrived: the test cell did not run to its end.") from error
    except Exception as error:
        raise BadValues(f"The file of values is damaged ({type(error).__name__}).") from error


def _bytes_of(path) -> bytes:
    # The folder belongs to the student's process: a link, a pipe or a device in place of the file must not be followed.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BadValues("The file of values is not a plain file.")
        if status.st_size > LARGEST_FILE:
            raise BadValues("The file of values is too large.")
        return file.read(LARGEST_FILE)


def _runs(archive: zipfile.ZipFile) -> dict[int, dict]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS or len({member.filename for member in members}) < len(members):
        raise BadValues("The file of values has too many members, or two of one name.")
    if sum(member.file_size for member in members) > LARGEST_FILE:
        raise BadValues("The file of values claims to be too large.")
    runs: dict[int, dict] = {}
    for member in members:
        # Written without compression: a compressed member is not ours, and may be a bomb.
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > LARGEST_MEMBER:
            raise BadValues("The file of values has a compressed or too large member.")
        seed, slash, name = member.filename.partition("/")
        if not slash or not seed.isascii() or not seed.isdigit() or len(seed) > 20 or not name.endswith(".npy"):
            raise BadValues("The file of values has a member of an unknown name.")
        array = _array(archive.read(member))
        runs.setdefault(int(seed), {})[name.removesuffix(".npy")] = array
    return {seed: unpack(arrays) for seed, arrays in runs.items()}


def _array(content: bytes) -> np.ndarray:
    """Return the array of an npy member whose header agrees with the bytes that are there."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise BadValues("An array of the file of values has an unknown version.")
    if dtype.kind not in _KINDS or dtype.hasobject or any(n < 0 for n in shape):
        raise BadValues("An array of the file of values holds something else than numbers or text.")
    rest = content[file.tell():]
    count = 1
    for n in shape:
        count *= int(n)
    if count * dtype.itemsize != len(rest):
        raise BadValues("An array of the file of values is not as long as it says.")
    if dtype.itemsize == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(rest, dtype=dtype).reshape(shape, order="F" if fortran else "C")

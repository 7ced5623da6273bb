"""The errors that nvpkit raises on purpose. Each message says what to do next."""


class NvpkitError(Exception):
    """Base of the errors below: catch it to catch them all."""


class ShapeError(NvpkitError, ValueError):
    """A tensor has another shape than the one that is expected; the message names both."""


class InverseNotAvailable(NvpkitError, RuntimeError):
    """This bijection can be computed in one direction only."""


class DatasetNotFound(NvpkitError, FileNotFoundError):
    """The files of a data set are not there; the message names the folders searched and the embedded alternative."""


class CheckpointError(NvpkitError, ValueError):
    """A saved flow cannot be read; the message names the file and the remedy."""


class CourseError(NvpkitError, RuntimeError):
    """A course command cannot go on; the message names the file or folder and the remedy."""


class CheckFailed(NvpkitError, AssertionError):
    """A check found a property that the student's code does not have; the message says the likely cause."""

    def _render_traceback_(self):
        # IPython shows these lines in place of the traceback: the frames of the checker help no student.
        return [f"CheckFailed: {self}"]

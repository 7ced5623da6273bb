"""Maps nbgrader onto the folders of this course; `nvpkit course` and nbgrader's own commands both read it."""

from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
    SaveCells,
)

from nvpkit.course.release import FillRepository

c = get_config()  # noqa: F821  (nbgrader's loader defines it)

c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "assignments"
c.CourseDirectory.submitted_directory = "submitted"
c.CourseDirectory.autograded_directory = "autograded"
c.CourseDirectory.feedback_directory = "feedback"

# Order matters: the gradebook keeps the cells with their hidden tests, students get them without.
c.GenerateAssignment.preprocessors = [
    FillRepository,
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ClearMarkScheme,
    ComputeChecksums,
    CheckCellMetadata,
]
# Said aloud: another configuration file that switches one of these off would leak the solutions without a word.
c.ClearSolutions.enabled = True
c.ClearHiddenTests.enabled = True
c.ClearMarkScheme.enabled = True
c.ClearOutput.enabled = True
c.LockCells.enabled = True
c.ComputeChecksums.enabled = True
c.CheckCellMetadata.enabled = True

# Formgrader shows what students wrote in the instructor's browser: their markdown must not bring scripts along.
c.HTMLExporter.preprocessors = [SanitizeHTML]
c.SanitizeHTML.enabled = True

# For those who run stock `nbgrader autograde`: its default of 30 s is too short for the training tasks.
c.Execute.timeout = 120
c.Execute.shutdown_kernel = "immediate"

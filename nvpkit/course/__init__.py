"""The instructor's side: from source notebook to grade, on top of nbgrader's format, gradebook and formgrader."""

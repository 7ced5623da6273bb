# course: the main job, end to end.   test: all tests, as CI runs them.   book: the book alone.   bench: what measures.
# Each line is a command that a person could type after `. .venv/bin/activate`.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# One thread for each process: two busy threads on two shared cores are slower than one.
export OMP_NUM_THREADS ?= 1
BOOK = jupyter-book build . --toc book/_toc.yml

.PHONY: course test book bench env

course: env
	nvpkit course release a2-nice
	python -m tests.course.samples _build/inbox
	nvpkit course collect _build/inbox --assignment a2-nice
	nvpkit course grade a2-nice --workers 2 --cell-timeout 20
	nvpkit course feedback a2-nice
	nvpkit course report a2-nice
	nvpkit course export a2-nice
	$(BOOK)
	@echo && echo "Results of this run:"
	@ls -d gradebook.csv gradebook.db feedback report/a2-nice.html _build/html/index.html _build/html/book/*.html

test: env
	ruff check .
	nvpkit course release --all --check
	python book/_ext/colab_notebooks.py --check
	python -m benchmarks.tables --check
	python -m pytest -n 2 --dist loadfile --ignore=tests/course --ignore=tests/book
	python -m pytest tests/course tests/book

book: env
	$(BOOK) -W -n --keep-going --all

bench: env
	python -m benchmarks

env: .venv/ready

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nvpkit needs Python 3.11 or newer here. Yours is " + sys.version.split()[0] + ". Try: make $(MAKECMDGOALS) PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --disable-pip-version-check --progress-bar on -r requirements.txt
	.venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch .venv/ready

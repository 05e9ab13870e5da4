# make demo    train the small models, align them with all ten configurations, make the tables
# make install the environment alone: .venv, from the lock
# make test    everything that CI runs
# make smoke   the whole pipeline with models that have learned nothing: minutes
# make check   lint, types and the tests of single modules: for while you work
# make test-slurm    the pipeline and its accidents on a real Slurm, brought up here (root, Debian)
# make test-conda    the smoke pipeline with --use-conda, on a test double of conda
# make test-true-size    the workflow on the published architectures, random weights (CACHE=folder)
# make test-gpu-epoch    one epoch of configurations 1 and 8 on this GPU at true size (CACHE=folder)
# make soak    the smoke pipeline killed at random moments, and one that is not (KILLS=24 SEED=0)
# make study-report    tables, figures and report.html from the archives in studies/, without training
# make test-r   the mixed models against R
# make bench    the speed table of docs/checks.md
# make plan     GPU-hours, memory and disk of a real scale, before any run (SCALE=paper)
# make bench-gpu    seconds, memory and share of peak of the real architectures on this GPU
# make clean YES=1    DELETES results/, with all trainings in it, and .snakemake/
# All of them first set up .venv from the hash-pinned requirements.lock.

# No request sends usage data or checks for a newer pip.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export DO_NOT_TRACK := 1

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.locked
# Snakemake keeps its sources' cache with the run, not in the user's folder. Each job is a process:
# bytecode is kept, so that none compiles the package again.
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= \
	XDG_CACHE_HOME="$${XDG_CACHE_HOME:-$(CURDIR)/.snakemake/cache}"
SOURCES := pcpo tests envs examples
SNAKEFILES := Snakefile $(wildcard rules/*.smk)

.PHONY: install demo smoke study-report test check lint unit soak test-r test-slurm test-conda
.PHONY: test-true-size test-gpu-epoch bench bench-gpu plan lock clean

SCALE ?= paper

install: $(READY)

demo: $(READY)
	$(RUN) snakemake --cores all --config scale=demo
	@echo; echo "How well the base models follow their prompts (results/demo/synthetic/accuracy.csv):"
	@cat results/demo/synthetic/accuracy.csv
	@echo; echo "The report, one page for a browser: results/demo/report.html"
	@echo "Tables: results/demo/tables   Figures: results/demo/figures   Paper beside ours: results/demo/compare.csv"

smoke: $(READY)
	$(RUN) snakemake --cores all --config scale=smoke

STUDIES ?= $(wildcard studies/*.zip)

# Each archive is unpacked below results/bundles/: a run of one's own in results/ is not touched.
study-report: $(READY)
	@test -n "$(STUDIES)" || { echo "error: no archive in studies/; name one, as in" \
		"make study-report STUDIES=results/demo/archive.zip"; exit 1; }
	@for study in $(STUDIES); do \
		$(RUN) snakemake --cores all --quiet rules --config from_bundle="$$study" -- report || exit 1; \
		echo "$$study: $$(ls results/bundles/$$(basename "$$study" .zip)-*/results/*/report.html)"; \
	done

test: lint unit

# The pipeline as a whole, several processes, and costs at true size are left to `make test`.
LONG := tests/system tests/cost tests/training/test_processes.py tests/policies/test_compile.py
LONG += tests/archive/test_from_bundle.py tests/archive/test_studies.py tests/test_extend.py
LONG += tests/true_size/test_true_size.py

check: lint
	$(RUN) pytest -n 2 --dist loadfile -m "not gpu and not slow" $(LONG:%=--ignore=%)

lint: $(READY)
	$(RUN) ruff check $(SOURCES)
	$(RUN) ruff format --check $(SOURCES)
	$(RUN) snakefmt --check $(SNAKEFILES)
	$(RUN) mypy
	$(RUN) shellcheck envs/*.sh
	$(RUN) hadolint Dockerfile
	$(RUN) snakemake --lint --config scale=smoke

# Files are handed out as tests/conftest.py orders them.
unit: $(READY)
	$(RUN) python -m compileall -q pcpo
	$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not gpu and not conda and not slurm_full" --durations=10

KILLS ?= 24
SEED ?= 0

soak: $(READY)
	$(RUN) python -m tests.system.stop.soak --kills $(KILLS) --seed $(SEED)

# The mixed models compared with R; installs R's packages if it can.
test-r: $(READY)
	@Rscript -e 'library(lmerTest)' >/dev/null 2>&1 || \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends \
				r-base-core r-cran-lme4 r-cran-lmertest; \
		else \
			echo "error: R with lme4 and lmerTest is needed; on Debian:" \
				"apt-get install r-base-core r-cran-lme4 r-cran-lmertest"; exit 1; \
		fi
	$(RUN) pytest -m r tests/r

# Long: the whole smoke pipeline, and runs of minutes. For disposable machines: docs/cluster.md.
test-slurm: $(READY)
	$(RUN) pytest -m slurm --durations=0 tests/system/slurm

# Minutes, 16 GB of disk while it runs and some 5 GB from the package index: docs/environments.md.
test-conda: $(READY)
	$(RUN) pytest -m conda tests/system/conda

CACHE ?= results/cache/true_size

# 20 GB of memory, 40 GB of disk, about 50 minutes on two quiet cores; goes on where it stopped:
# docs/checks.md.
test-true-size: $(READY)
	$(RUN) python -m tests.true_size --cache "$(CACHE)"

# A GPU of 24 GB, 25 GB of disk.
test-gpu-epoch: $(READY)
	$(RUN) python -m tests.true_size.gpu_epoch --cache "$(CACHE)"

bench: $(READY)
	$(RUN) python -m pcpo.cli.bench --sqrtm

bench-gpu: $(READY)
	$(RUN) python -m pcpo.cli.bench_gpu --out results/bench

plan: $(READY)
	$(RUN) python -m pcpo.cli.plan --scale $(SCALE)

# The lock has no address of any index; pip uses its own. envs/*.yaml are written from it.
lock: $(READY)
	$(VENV)/bin/python -m pip install --quiet uv
	$(RUN) python -m uv pip compile pyproject.toml --extra test --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		--python-platform x86_64-unknown-linux-gnu --upgrade -o requirements.lock
	$(VENV)/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	touch $(READY)
	$(RUN) python envs/pins.py

$(READY): requirements.lock
	bash envs/venv.sh $(PYTHON) $(VENV)

# The environment links to the system's Python, which may have been upgraded.
ifneq ($(shell { $(VENV)/bin/python -c 'print("runs")'; } 2>/dev/null),runs)
.PHONY: $(READY)
endif

clean:
	@test "$(YES)" = 1 || { echo "error: this deletes results/ with all trainings in it;" \
		"if you want that: make clean YES=1"; exit 1; }
	rm -rf results .snakemake

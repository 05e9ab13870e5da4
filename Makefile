# make demo    train the small models, align them with all ten configurations, make the tables
# make test    everything that CI runs
# make plan     GPU-hours, memory and disk of a real scale, before anything is spent (SCALE=paper)
# make bench-gpu    seconds, memory and share of peak of the real architectures on this GPU
# All set up .venv from the hash-pinned requirements.lock first.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.locked
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" OMP_NUM_THREADS=1
SOURCES := pcpo tests
SNAKEFILES := Snakefile $(wildcard rules/*.smk)

.PHONY: demo smoke test lint unit test-r bench bench-gpu plan lock clean

SCALE ?= paper

demo: $(READY)
	$(RUN) snakemake --cores all --config scale=demo
	@echo; echo "How well the base models follow their prompts (results/demo/world/accuracy.csv):"
	@cat results/demo/world/accuracy.csv
	@echo; echo "The report, one page for a browser: results/demo/report.html"
	@echo "Tables: results/demo/tables   Figures: results/demo/figures   Paper beside ours: results/demo/compare.csv"

smoke: $(READY)
	$(RUN) snakemake --cores all --config scale=smoke

test: lint unit

lint: $(READY)
	$(RUN) ruff check $(SOURCES)
	$(RUN) ruff format --check $(SOURCES)
	$(RUN) snakefmt --check $(SNAKEFILES)
	$(RUN) mypy
	$(RUN) snakemake --lint --config scale=smoke

unit: $(READY)
	$(RUN) pytest -n 2 --dist loadfile -m "not gpu" --durations=10

# The mixed models against R itself; installs R's packages where it may.
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

bench: $(READY)
	$(RUN) python -m pcpo.cli.bench --sqrtm

bench-gpu: $(READY)
	$(RUN) python -m pcpo.cli.bench_gpu --out results/bench

plan: $(READY)
	$(RUN) python -m pcpo.cli.plan --scale $(SCALE)

# The lock holds no address of any index; pip takes its own.
lock: $(READY)
	$(VENV)/bin/python -m pip install --quiet uv
	$(RUN) python -m uv pip compile pyproject.toml --extra test --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		--python-platform x86_64-unknown-linux-gnu --upgrade -o requirements.lock

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed; set PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
		|| { echo "error: the venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	touch $@

clean:
	rm -rf results .snakemake

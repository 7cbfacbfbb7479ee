# Everything a person types. The environment is made on first use in $(VENV).
VENV ?= .venv
BIN := $(VENV)/bin
# What a target that runs Python needs. `make -o setup TARGET` takes the environment as it is.
READY := setup
PEERS := .venv-peers
DOCS := .venv-docs
# The list that setup-inference installs: inference (vLLM for CUDA) or inference-cpu.
INFERENCE ?= inference
PAPER := config/paper.yaml
# The tests of a file share what they have trained, so they stay in one process. Files begin in the
# order of testpaths in pyproject.toml, with the longest.
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help demo demo-dry-run paper-dry-run paper-small check cases-bad-input test real-rows real-model real-model-quick plan rebuild-check kill-check fault-check \
	env-check base truth lint format schema lock lock-check setup setup-inference images slurm-test slurm-demo \
	bench-quick bench-plan bench-data bench-checkpoints bench-balance bench-sft bench-scale bench-clusters bench-grade bench-statistics gpu-check cases peers docs clean-work

# The micro-world's jobs are shorter than a start of vLLM's environment, so they stay in this one.
demo truth real-rows: export NT_ENV_INFERENCE ?=

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 21

demo: $(READY) ## Run the demo study on this machine and open its report
	python -m scripts.study --configfile config/demo.yaml
	@[ ! -t 1 ] || python -m webbrowser -t "file://$(CURDIR)/results/report/demo/index.html" >/dev/null

demo-dry-run: $(READY) ## Plan the demo; after a finished demo, nothing to be done
	python -m snakemake --profile profiles/local -n -q rules all --configfile config/demo.yaml

real-rows: $(READY) ## Run the workflow on GSM8K and MATH-500 rows from ../shared/data
	python -m scripts.study --configfile config/real_rows.yaml

paper-dry-run: $(READY) ## Plan the paper's study with the Slurm profile (needs no cluster)
	python -m scripts.plan --profile profiles/slurm --configfile $(PAPER)

paper-small: $(READY) ## Run the paper's study with tiny models and made-up rows, in paper-small/
	python -m tests.workflow.paper_small

real-model: $(READY) ## Train a real small model from a package, in real-model/ (ROWS=file.jsonl)
	python -m tests.workflow.real_model $(if $(ROWS),--rows $(ROWS))

real-model-quick: $(READY) ## The same with few rows, in real-model-quick/
	python -m tests.workflow.real_model --quick $(if $(ROWS),--rows $(ROWS))

plan: $(READY) ## Show what of the demo would run again, why, and how long it would take
	python -m scripts.plan --configfile config/demo.yaml

check: lint ## Lint, and the tests that need no torch and start no other Python (2 CPU minutes)
	python -m pytest -p tests.light -m "not slow" $(PARALLEL)

test: $(READY) ## Run the tests that need neither a GPU nor a cluster
	python -m pytest $(PARALLEL)

cases: $(READY) ## Show answers whose right reading people decided, with what the code gives
	python -m tests.cases

cases-bad-input: $(READY) ## Damage every artifact of a small study, and count what its readers say (QUICK=--quick)
	python -m tests.workflow.bad_input_check $(QUICK)

rebuild-check: $(READY) ## Edit one thing after another and compare what reruns with what should
	python -m tests.workflow.rebuild_check

kill-check: $(READY) ## Kill a study ten times and compare its results with an undisturbed one
	python -m tests.workflow.kill_check

fault-check: $(READY) ## Do every fault to a small study, and show what was lost and what was stale (K=word: some)
	python -m tests.workflow.fault_check $(if $(K),-k $(K))

env-check: $(READY) ## Install each kind of environment and run a small study in them
	python -m tests.workflow.environments_check

slurm-test: $(READY) ## Run a tiny study and faults on a Slurm of its own (root on Debian; 25 minutes)
	python -m pytest tests/slurm -m "not demo" -v -rs

slurm-demo: $(READY) ## Run the demo on a Slurm of its own and compare (an hour; NT_SLURM_SEEDS=1: less)
	python -m pytest tests/slurm -m demo -v -rs

bench-plan: $(READY) ## Measure the time to plan 1,000 shards and to dispatch a job
	python -m benchmarks.plan

bench-quick: $(READY) ## Check that all benchmarks work: run them in a small form, without peers
	set -e; for each in plan data checkpoints balance sft grade clusters statistics_errors gpu_check scale; do \
		echo "benchmarks.$$each --quick"; python -W ignore -m benchmarks.$$each --quick; \
	done

bench-data: $(READY) peers ## Measure every data stage at up to 1.1 million rows, next to other tools
	python -m benchmarks.data $(if $(ROWS),--rows $(ROWS))

bench-checkpoints: $(READY) ## Measure the time of checkpoints and export in a training
	python -m benchmarks.checkpoints

bench-balance: $(READY) ## Simulate how long the ranks of a training wait for each other
	python -m benchmarks.balance

bench-sft: $(READY) ## Measure training against TRL and a bare loop (creates .venv-peers-sft)
	python -m benchmarks.sft $(BENCH)

bench-scale: $(READY) ## Measure the memory of 500,000 examples, and the start of a training on them
	python -m benchmarks.scale

# With the environment that is there: it installs what is missing from WHEELS, for its own time.
gpu-check: ## Check and measure training on a GPU, ten minutes (WHEELS=folder: where packages are missing)
	python3 -m benchmarks.gpu_check $(if $(WHEELS),--wheels $(WHEELS))

bench-clusters: $(READY) ## Measure how well `semantic` recovers known clusters
	python -m benchmarks.clusters

bench-statistics: $(READY) ## Simulate how often the report's verdicts are wrong, and what they can see
	python -m benchmarks.statistics_errors

bench-grade: $(READY) ## Measure grading against lighteval and lm-evaluation-harness
	python -m benchmarks.grade

base: $(READY) ## Pre-train the micro-world's base student again (about 20 minutes)
	python -m snakemake --profile profiles/local results/micro-base/manifest.json

truth: $(READY) ## Measure the demo's comparisons with seeds of their own, as its truth (40 minutes)
	python -m scripts.study results/truth/demo-truth.json --directory truth --configfile config/truth.yaml
	mkdir -p config/truth && cp truth/results/truth/demo-truth.json config/truth/demo.json

lint: $(READY) ## Check formatting, types and imports
	ruff check .
	ruff format --check .
	mypy
	mypy envs/install.py
	lint-imports
	snakefmt --check Snakefile rules
	python -m snakemake --lint --configfile config/demo.yaml

format: $(READY) ## Format the code
	ruff check --fix-only -q .
	ruff format .
	snakefmt Snakefile rules

schema: $(READY) ## Rebuild the JSON schema and the generated pages of docs/
	python -m scripts.schema

docs: ## Build the documentation as a site, site/index.html (creates .venv-docs)
	@envs/install.sh docs $(DOCS)
	rm -rf site
	$(DOCS)/bin/sphinx-build -q -E -W --keep-going -d $(DOCS)/doctrees -c docs . site

# Asked every time: install.sh leaves an environment that is what its list says.
setup: ## Create the environment of everything but vLLM, .venv
	@envs/install.sh local $(VENV)

setup-inference: ## Create the environment of vLLM, .venv-inference (INFERENCE=inference-cpu: without GPUs)
	envs/install.sh $(INFERENCE) .venv-inference

peers: ## Create the environment of the other tools in bench-data, .venv-peers
	@envs/install.sh peers $(PEERS)

images: ## Build a container image for each kind of job (needs Apptainer)
	mkdir -p images
	set -e; for kind in workflow training $(INFERENCE); do \
		apptainer build --force --build-arg kind=$$kind images/$${kind%-cpu}.sif envs/image.def; \
	done

lock: $(READY) ## Update all locked lists from envs/*.in (UPGRADE=--upgrade: to the newest versions)
	envs/lock.sh $(UPGRADE)

lock-check: $(READY) ## Check that all lists resolve on Python 3.11, 3.12 and 3.13; installs nothing
	envs/lock.sh --check

clean-work: ## Remove the progress of unfinished jobs
	@! [ -e results/.lock ] || ! command -v flock >/dev/null || flock -n results/.lock true \
		|| { echo "error: a study runs in $(CURDIR): wait for it or stop it" >&2; exit 1; }
	rm -rf work
	[ ! -d results ] || find results/ -name '.*.finished' -prune -exec rm -rf {} +

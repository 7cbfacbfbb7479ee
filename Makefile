# Everything a person types. The environment is made on first use in $(VENV).
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help demo demo-dry-run test real-rows plan rebuild-check kill-check base lint format schema \
	lock setup clean-work

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(READY) ## Run the demo study on this machine and open its report
	python -m scripts.study
	@[ ! -t 1 ] || python -m webbrowser -t "file://$(CURDIR)/results/report/demo/index.html" >/dev/null

demo-dry-run: $(READY) ## Plan the demo again; after a finished demo: nothing to be done
	python -m snakemake --profile profiles/local -n -q rules all

real-rows: $(READY) ## Run the workflow on GSM8K and MATH-500 rows from ../shared/data
	python -m scripts.study --configfile config/real_rows.yaml

plan: $(READY) ## Say what would run again, why, and how long it would take
	python -m scripts.plan

test: $(READY) ## Run the tests that need neither a GPU nor a cluster
	python -m pytest

rebuild-check: $(READY) ## Edit one thing after another and compare what reruns with what should
	python -m tests.workflow.rebuild_check

kill-check: $(READY) ## Kill a study ten times and compare its results with an undisturbed one
	python -m tests.workflow.kill_check

base: $(READY) ## Pre-train the micro-world's base student again (about 20 minutes)
	python -m snakemake --profile profiles/local results/micro-base/manifest.json

lint: $(READY) ## Check form and types
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	python -m snakemake --lint

format: $(READY) ## Bring code into form
	ruff check --fix-only -q .
	ruff format .
	snakefmt Snakefile rules

schema: $(READY) ## Write the configuration's JSON schema and reference page
	python -m scripts.schema

setup: $(READY) ## Make the environment

$(READY): envs/requirements.txt envs/install.sh
	envs/install.sh $(VENV)

lock: ## Pin the environment anew from envs/requirements.in
	cp envs/requirements.in envs/requirements.txt
	envs/install.sh $(VENV)
	(head -1 envs/requirements.in; $(BIN)/uv pip freeze --python $(BIN)/python \
		| grep -v -e '^torch==' -e '^uv==' -e '^pip==' -e '^setuptools==') > envs/requirements.txt
	touch $(READY)

clean-work: ## Remove the progress of unfinished jobs
	rm -rf work

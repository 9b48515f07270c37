# The front door. `make` alone prints this help.
#
# Make turns every failure into its own exit 2. Where the code matters (schedules, scripts), call
# .venv/bin/campaign itself: docs/contract.md lists its exit codes.

CAMPAIGN ?= sample_data/newsletter.toml
ARGS     ?=
PYTHON   ?= python3
WHEN     ?= Mon *-*-* 08:00
N        ?= 4
VENV     := .venv
BIN      := $(VENV)/bin
# Three processes for two processors: a quarter of the time of a test is waiting. A process that has no tests left takes
# half of another's; dealt out in advance, the tests that start servers and commands would all be in one.
SHARED   := -n 3 --dist worksteal
PIP      := $(BIN)/python -m pip --disable-pip-version-check --quiet

schedule unschedule: export CAMPAIGN := $(CAMPAIGN)
schedule: export WHEN := $(WHEN)

.DEFAULT_GOAL := help
.PHONY: help demo demo-feedback demo-workers test check preview send workers collect status report stats retry schedule unschedule setup lint types test-twice fresh ci torture simulate bench profile clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 } /^##@/ { printf "\n%s\n", substr($$0, 5) }' $(MAKEFILE_LIST)
	@printf '\nVariables: CAMPAIGN=path.toml (now %s), ARGS="further options"\n' '$(CAMPAIGN)'

##@ To see it work

demo: $(VENV)/installed ## Send the sample newsletter to a mailbox in this folder, over real SMTP
	@$(BIN)/campaign send sample_data/newsletter.toml --again $(ARGS); code=$$?; \
	 if [ $$code -eq 3 ]; then printf '\nExit code 3 is right: one row of the sample cannot be made into a letter, on purpose (sample_data/ABOUT.md).\n'; \
	 elif [ $$code -ne 0 ]; then printf '\ncampaign exited with %s; docs/contract.md says what that means. Run make demo again to continue.\n' $$code; exit 1; fi

demo-feedback: $(VENV)/with-bounces ## Send an edition, let some of it bounce, and see who is left out of the next
	@$(BIN)/python sample_data/feedback_demo.py

demo-workers: $(VENV)/with-store ## Four workers share 20,000 letters, one is killed half-way (STORE=url: your own PostgreSQL)
	@$(BIN)/python sample_data/workers_demo.py $(if $(STORE),--store '$(STORE)') $(ARGS)

##@ For your own campaign (CAMPAIGN=path.toml)

check: $(VENV)/installed ## Everything short of sending: data, every letter, the relay
	@$(call run,check $(CAMPAIGN))

preview: $(VENV)/installed ## Some letters as .eml files and a page for the browser
	@$(call run,preview $(CAMPAIGN))

send: $(VENV)/installed ## Send; again after any stop, it continues
	@$(call run,send $(CAMPAIGN))

workers: $(VENV)/with-store ## N=4 senders of one run on this machine, over the campaign's store
	@$(BIN)/python deploy/start_workers.py '$(N)' '$(CAMPAIGN)' $(ARGS) || { code=$$?; printf '\ncampaign exited with %s; docs/contract.md says what that means.\n' $$code >&2; exit $$code; }

collect: $(VENV)/with-bounces ## Read bounces, complaints and unsubscribes, and act on them
	@$(call run,collect $(CAMPAIGN))

status: $(VENV)/installed ## Where the newest run stands
	@$(call run,status $(CAMPAIGN))

report: $(VENV)/installed ## The report of the newest run again
	@$(call run,report $(CAMPAIGN))

stats: $(VENV)/installed ## The editions of the campaign compared
	@$(call run,stats $(CAMPAIGN))

retry: $(VENV)/installed ## Only those who failed
	@$(call run,retry $(CAMPAIGN))

schedule: $(VENV)/installed ## A systemd user timer: WHEN="Mon 08:00"
	@sh deploy/systemd/schedule.sh schedule "$$CAMPAIGN" "$$WHEN"

unschedule: ## Remove that timer
	@sh deploy/systemd/schedule.sh unschedule "$$CAMPAIGN"

##@ For developers

setup: $(VENV)/developing ## The virtual environment with everything in it

test: $(VENV)/developing ## All tests
	@$(BIN)/python -m pytest $(SHARED) $(ARGS)

lint: $(VENV)/developing ## Style and errors
	@$(BIN)/ruff format --check campaign tests benchmarks torture sample_data deploy
	@$(BIN)/ruff check campaign tests benchmarks torture sample_data deploy

types: $(VENV)/developing ## Types
	@$(BIN)/mypy

torture: $(VENV)/developing ## Kill it, break it, fill the disk: KILLS=200
	@$(BIN)/python -m torture $(if $(KILLS),--kills $(KILLS)) $(ARGS)

simulate: $(VENV)/developing ## Simulate runs with faults, each from a seed: SEEDS=300
	@$(BIN)/python -m tests.simulation $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

bench: $(VENV)/developing ## Speed, beside what else one might use
	@$(BIN)/python -m benchmarks $(if $(FULL),--full) $(ARGS)

profile: $(VENV)/developing ## Where the microseconds go: docs/profile.md
	@$(BIN)/python -m benchmarks profile --keep $(ARGS)

fresh: $(VENV)/developing ## The demo in a fresh clone, as a newcomer would
	@$(BIN)/python -m pytest -m slow tests/acceptance

# Real servers and real time on two cores: what failed gets a second look, alone. A fault fails twice.
test-twice: $(VENV)/developing
	@$(BIN)/python -m pytest $(SHARED) || { printf 'Once more, alone: what failed.\n'; $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

# Types are checked while the fresh clone installs: alone, each of the two leaves a processor idle.
ci: lint ## What decides whether a change lands; simulate and torture come after it
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target types fresh
	@$(MAKE) --no-print-directory test-twice

clean: ## Remove the environment and the demo's runs
	rm -rf $(VENV) sample_data/runs

# $(call run,COMMAND): the console script, its real exit code named before make turns it into 2.
define run
$(BIN)/campaign $(1) $(ARGS) || { code=$$?; printf '\ncampaign exited with %s; docs/contract.md says what that means.\n' $$code >&2; exit $$code; }
endef

# $(call extra,NAME): adds the libraries of an extra.
define extra
{ printf 'Adding the extra %s (once; some seconds) ...\n' '$(1)'; $(PIP) install --constraint constraints.txt --editable '.[$(1)]'; }
endef

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { printf 'campaign needs Python 3.11 or later, and $(PYTHON) is not one.\nNext: make demo PYTHON=python3.12, or whatever yours is called\n' >&2; exit 1; }
	@printf 'Setting up %s (once; about 60 MB of libraries from PyPI, 310 MB on disk; a minute or so) ...\n' '$(VENV)'
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/with-store: $(VENV)/installed
	@$(BIN)/python -c 'import psycopg' 2> /dev/null || $(call extra,postgresql)
	@touch $@

$(VENV)/with-bounces: $(VENV)/installed
	@$(BIN)/python -c 'import flufl.bounce' 2> /dev/null || $(call extra,bounces)
	@touch $@

$(VENV)/developing: $(VENV)/installed
	@printf 'Adding what the tests need (about 180 MB more, 920 MB on disk in all) ...\n'
	@$(PIP) install --constraint constraints.txt --editable '.[all]' --group dev
	@touch $@

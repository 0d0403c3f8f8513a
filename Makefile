# Everything a person types here. Each target does its own set-up, which takes less than a second when nothing changed.

PYTHON := venv/bin/python

.PHONY: help setup run test check coverage bench reference notices lock audit sbom logs admin token clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## the virtual environment, npm packages and the pages' scripts; every other target does this first
	@python3 emulator/setup.py

run: setup  ## the whole backend on this machine, with a walk through its main job
	@exec $(PYTHON) -m emulator

test: setup  ## every test, in two processes side by side; starts the emulators and ends them
	@exec $(PYTHON) -m tests

check: setup  ## ruff, mypy, import-linter
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@venv/bin/lint-imports

coverage: setup  ## the tests, with their coverage and its floor
	@exec $(PYTHON) -m pytest --cov --cov-report=term --cov-report=html

bench: setup  ## speed and memory as ratios; PART=starts|ledger|chat|windows|agents|payments|coins|receipts|verify; AGAINST=REF compares two commits
	@$(PYTHON) -m emulator.bench $(if $(AGAINST),--against $(AGAINST)) $(PART)

reference: setup  ## the generated pages of docs/: routes, errors, settings, dependencies, jobs, tools, decisions
	@exec $(PYTHON) -m emulator.reference

notices: setup  ## NOTICES.md, when a runtime dependency has changed
	@exec $(PYTHON) -m emulator.reference.notices

lock: setup  ## requirements*.txt from requirements*.in; UPGRADE=1 or UPGRADE="NAME …" takes newer versions
	@exec $(PYTHON) -m emulator.dependencies.relock $(if $(UPGRADE),--upgrade $(filter-out 1,$(UPGRADE)))

audit: setup  ## known vulnerabilities of the locked packages; fails if the services did not look at all of them
	@exec $(PYTHON) -m emulator.dependencies.audit

sbom: setup  ## the bill of materials of a release as CycloneDX 1.6; RELEASE=vN FILE=…
	@exec $(PYTHON) -m emulator.dependencies.bill "$(RELEASE)" "$(if $(filter-out -,$(FILE)),$(FILE))"

logs: setup  ## follow the log of a running `make run`
	@exec $(PYTHON) -m emulator.logs

admin: setup  ## EMAIL=… makes the first administrator of the laptop, with PROJECT=… of a real project
	@exec $(PYTHON) -m $(if $(PROJECT),emulator.cloud.admin "$(PROJECT)",emulator.admin) "$(EMAIL)"

token: setup  ## EMAIL=… signs in, and prints the token for calls with curl; with PROJECT=… at a real project
	@exec $(PYTHON) -m emulator.cloud.token "$(PROJECT)" "$(EMAIL)"

clean:  ## remove all that set-up and tools made
	@rm -rf venv emulator/node_modules emulator/.run functions/http/static/vendor htmlcov .coverage .coverage.* \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: tamper
tamper: setup  ## every edit of a stored account: each field of each document, a dozen wrong values, a thousand places
	@TAMPER=long exec $(PYTHON) -m pytest -q tests/tamper

.PHONY: chaos
SEED ?= 1
OPERATIONS ?= 20000

chaos: setup  ## four processes killed every second, 20,000 operations; SEED=… OPERATIONS=…
	@exec $(PYTHON) -m tests.chaos $(SEED) $(OPERATIONS)

.PHONY: rotation soak
DORMANT ?= 1000
ROTATING ?= 10000

rotation: setup  ## the signing key replaced during 10,000 operations on three instances, then 1,000 dormant accounts woken; ROTATING=… DORMANT=… ON=emulator
	@exec $(PYTHON) -m tests.rotation $(ROTATING) $(DORMANT) 0 $(ON)

soak: setup  ## rotations and every job of every minute while eight writers run, for an hour; SECONDS=…
	@exec $(PYTHON) -m tests.rotation 2000 20 $(or $(SECONDS),3600)

.PHONY: faults simulate mutate history outage books log
ACCOUNTS ?= 1000
FIRST ?= 0
SEEDS ?= 1000
COMMANDS ?= 500
PLAY ?= histories
ENTRIES ?= 100000
KILLS ?= 100
MODULES ?=

faults: setup  ## the real store behind a proxy that fails its calls; SEED=… OPERATIONS=…
	@SEED=$(SEED) OPERATIONS=$(OPERATIONS) exec $(PYTHON) -m pytest tests/contract/test_store_faults.py

simulate: setup  ## random histories of an account, by seed; PLAY=histories|twins|reserves FIRST=… SEEDS=… COMMANDS=…
	@exec $(PYTHON) -m tests.simulation $(PLAY) $(FIRST) $(SEEDS) $(COMMANDS)

history: setup  ## random accounts rebuilt from the pages of their history alone; ACCOUNTS=…
	@ACCOUNTS=$(ACCOUNTS) exec $(PYTHON) -m pytest tests/api/test_history_pages.py

outage: setup  ## an hour without triggers at 50 entries a second, healed by the sweep of the relay; WAITING=…
	@exec $(PYTHON) -m tests.relaying $(WAITING)

# A year of many accounts under faults: the figures of the platform equal the fold of all journals.
books: setup  ## a year of 1,000 accounts under faults: figures equal the fold of all journals; ACCOUNTS=… SEED=…
	@exec $(PYTHON) -m tests.figuring $(or $(ACCOUNTS),1000) $(or $(SEED),1)

log: setup  ## 100,000 entries into the log by two sequencers that are killed 100 times; ENTRIES=… KILLS=…
	@exec $(PYTHON) -m tests.sequencing $(ENTRIES) $(KILLS)

mutate: setup  ## small changes of the ledger that a test must notice; MODULES=… JOBS=… SECONDS=… AGAIN=1
	@exec $(PYTHON) -m tests.mutation $(MODULES)

.PHONY: fire

# Real servers that are left and killed in the middle of a chat turn, two hundred callers at once among it.
fire: setup  ## real servers left and killed in the middle of a chat turn
	@FIRE=1 exec $(PYTHON) -m pytest tests/fire

.PHONY: survive

# The laptop itself: large bodies to every route, clients that hang up, and each part of a whole run killed in turn.
survive: setup  ## the laptop: 12 MB to every route, a hundred hang-ups, and each part of `make run` killed
	@SURVIVE=1 exec $(PYTHON) -m pytest tests/e2e/test_laptop_survives.py

.PHONY: streams
STREAMS ?= 20000

# Random streams as providers might send them, over every profile: what is charged is true, or has failed for nothing.
streams: setup  ## 20,000 random answers of providers, over every profile; SEED=… STREAMS=…
	@exec $(PYTHON) -m tests.streams $(SEED) $(STREAMS)

.PHONY: leak
CALLERS ?= 500

# Who pays when callers do their worst: where the platform's losses came from, and whether they are within bounds.
leak: setup  ## 500 hostile callers against providers that bill the truth; SEED=… CALLERS=…
	@exec $(PYTHON) -m tests.leak $(SEED) $(CALLERS)

.PHONY: chains
REORGS ?= 500
SCHEDULES ?= 1000
AGENTS ?= 200

# Real EVM nodes, two networks at once: random payments and reorgs, and workers killed before and after each commit.
# Then sources that are stale, empty, forked, lying and so on while payments are detected, credited and lost.
# Then agents that pay by themselves, over memory and on a node: lost answers, a facilitator that is down or lies,
# strangers, killed workers.
chains: setup  ## 500 reorgs with workers killed, 1000 schedules of liars, 200 agents' payments with each fault; SEED=… REORGS=… SCHEDULES=… AGENTS=…
	@exec $(PYTHON) -m tests.chains $(SEED) $(REORGS) $(SCHEDULES) $(AGENTS)

.PHONY: canonical
DOCUMENTS ?= 1000000

canonical: setup  ## a million random documents, equal by our encoder and by a reference of RFC 8785; SEED=… DOCUMENTS=…
	@SEED=$(SEED) DOCUMENTS=$(DOCUMENTS) exec $(PYTHON) -m pytest tests/properties/test_canonical_documents.py

.PHONY: flat

# A run of the watch without news, on a real EVM node: its cost follows the hot addresses, not those ever made.
flat: setup  ## the cost of a run of the watch, by addresses ever made and hot ones, as a table
	@exec $(PYTHON) -m tests.flat

.PHONY: cost

# What Google bills for each unit of work, counted over the whole product in memory.
cost: setup  ## documents, invocations and messages of each unit of work: measures, pins, and writes docs/cost.md
	@COST=long exec $(PYTHON) -m tests.cost pin

.PHONY: payments
PAYMENTS ?= 300

# Webhook twice, return page, poll and operator at each payment at once, for both providers, also when those misbehave;
# and a worker killed, robbed of its lease or put to sleep at every commit and call of the provider; events in every order.
payments: setup  ## 300 payments per provider, five callers at each at once, and workers killed anywhere; PAYMENTS=…
	@PAYMENTS=$(PAYMENTS) KILLS=all ORDERS=all exec $(PYTHON) -m pytest tests/contract/test_payment_races.py \
		tests/contract/test_payment_kills.py tests/unit/sagas/test_payment_lifecycles.py

.PHONY: derivations
ADDRESSES ?= 10000

derivations: setup  ## 10,000 addresses of each kind, equal by both implementations; ADDRESSES=…
	@ADDRESSES=$(ADDRESSES) exec $(PYTHON) -m pytest tests/unit/payments/test_address_book.py

.PHONY: doctor deploy key add-key use-key remove-key release rollback
KID ?=
PROJECT ?=

# Changes nothing. The checks stand in docs/reference/checks.md; the exit code is 0 for a sound project, 1, or 2.
doctor: setup  ## PROJECT=… finds what is wrong with a Google project and its settings, and says what to do
	@exec $(PYTHON) -m emulator.cloud.doctor "$(PROJECT)"

# A real Google project. Each looks at the project and goes on from there; PLAN=1 says the changes and makes none.
deploy: setup  ## PROJECT=… brings a Google project to this tree; PLAN=1 only says the changes, YES=1 agrees to all
	@PLAN="$(PLAN)" YES="$(YES)" exec $(PYTHON) -m emulator.cloud.deploy "$(PROJECT)"

key: setup  ## PROJECT=… makes the ledger's signing key and stores it in Secret Manager, unseen
	@exec $(PYTHON) -m emulator.cloud.keys "$(PROJECT)"

add-key: setup  ## PROJECT=… makes a further signing key, which verifies only (docs/operating/add-a-signing-key.md)
	@exec $(PYTHON) -m emulator.cloud.signing_keys add "$(PROJECT)"

use-key: setup  ## PROJECT=… KID=… lets a key sign that every running function knows
	@exec $(PYTHON) -m emulator.cloud.signing_keys use "$(PROJECT)" "$(KID)"

remove-key: setup  ## PROJECT=… KID=… removes the seed of a retired key (docs/operating/add-a-signing-key.md)
	@exec $(PYTHON) -m emulator.cloud.signing_keys remove "$(PROJECT)" "$(KID)"

release: setup  ## tags a clean and green tree as the next release, vN
	@exec $(PYTHON) -m emulator.cloud.releasing

rollback: setup  ## PROJECT=… deploys the release before the one that runs; RELEASE=vN another one, PLAN=1 only says it
	@PLAN="$(PLAN)" RELEASE="$(RELEASE)" exec $(PYTHON) -m emulator.cloud.rollback "$(PROJECT)"

.PHONY: rebuild-analytics

# Commands of operators, on the running laptop or, with PROJECT=…, on a real project.
OPERATE = $(if $(PROJECT),emulator.cloud.command "$(PROJECT)",emulator.command)

# Usage by day, projected anew from the journals.
rebuild-analytics: setup  ## usage by day from the journals, for all users; USERS=… for some
	@exec $(PYTHON) -m $(OPERATE) rebuild-analytics $(if $(USERS),-- $(USERS),--all)

.PHONY: rebuild-books

# Figures of the platform by day, counted again from all entries of the log.
rebuild-books: setup  ## figures of the platform, counted again from all entries
	@exec $(PYTHON) -m $(OPERATE) rebuild-books

.PHONY: models-sync

# What a provider's listing would change of the models.
models-sync: setup  ## models and prices from the provider's listing; UPSTREAM=… APPLY=1 FREE=1 LISTING=FILE
	@exec $(PYTHON) -m $(OPERATE) models-sync $(or $(UPSTREAM),default) $(if $(APPLY),--apply) $(if $(FREE),--free) $(if $(LISTING),--listing $(LISTING))

.PHONY: replay-payment replay-notice verify
ID ?=
FILE ?= -

# A payment that stuck or was set aside, settled anew from what its provider says now.
replay-payment: setup  ## ID=… settles a payment again that stuck or waits for a look
	@exec $(PYTHON) -m $(OPERATE) replay-payment "$(ID)"

# A provider's notice dealt with anew, by its name in alerts: {provider}:{event id}
replay-notice: setup  ## ID=PROVIDER:EVENT handles a provider's notice again
	@exec $(PYTHON) -m $(OPERATE) replay-notice "$(ID)"

# The chain, the signatures and the balance of an export: FILE=journal.ndjson, or standard input.
verify: setup  ## FILE=journal.ndjson checks an export offline; KEYS=FILE names the keys to trust
	@exec $(PYTHON) -m shared.ledger.verify $(if $(KEYS),--keys $(KEYS)) "$(FILE)"

.PHONY: prove-speed
PROVED ?= 1000000

prove-speed: setup  ## a million entries checked within the limits of time and memory; PROVED=N for fewer
	@PROVED=$(PROVED) $(PYTHON) -m emulator.bench.verify

.PHONY: bench-gateways

# Installs both gateways, pinned, into emulator/.run the first time.
bench-gateways: setup  ## a call through this API, LiteLLM's proxy and the Portkey gateway, in the same run
	@$(PYTHON) -m emulator.bench.gateways

.PHONY: archive

# The deployed functions once more, with pip's own installation of requirements.txt instead of links to this environment.
archive: setup  ## every deployed function from its archive, with requirements.txt freshly installed by hash
	@FRESH=1 exec $(PYTHON) -m pytest tests/deploy

.PHONY: hostile

# Bodies made to cost a server more than their sender: processor time, memory and answer of each, the dearest first.
hostile: setup  ## bodies made to cost a server more than their sender, the cost of each, and random requests
	@HOSTILE=1 EXAMPLES=100 exec $(PYTHON) -m pytest -s tests/api/test_hostile_bodies.py tests/api/test_fuzz.py

.PHONY: clients
CLIENT ?=

# Clients that others wrote, unchanged, against the served functions. Installs them, pinned, into emulator/.run first.
clients: setup  ## clients that others wrote, pinned, against the served functions; CLIENT=… for some
	@$(PYTHON) -m tests.clients "$(CLIENT)"

.PHONY: explain archive-journal unarchive-journal redact-entry release-log keys end-key keep-key key-uses reseal-account drain undrain log-key log-status export-log restore-log dead-events
.PHONY: resend-event discard-event model-off model-on model-prices migrate addresses balances find-token
WHO ?=
SINCE ?=
REASON ?=
EVENT ?=
MODEL ?=
NAME ?=
DRY_RUN ?=
LIMIT ?=
BY ?=
VERSION ?=

# What operators do, as docs/operating/ says when: on the laptop that runs, or with PROJECT in a Google project.
explain: setup  ## WHO=email or uid says in words why a balance is as it is
	@exec $(PYTHON) -m $(OPERATE) explain -- "$(WHO)"

keys: setup  ## the signing keys, their times, and the progress of a retirement
	@exec $(PYTHON) -m $(OPERATE) keys

end-key: setup  ## KID=… REASON=… lets a key sign no more, and retires it once everything is sealed again
	@exec $(PYTHON) -m $(OPERATE) end-key -- "$(KID)" "$(REASON)"

keep-key: setup  ## KID=… REASON=… takes back the end of a key that is not retired yet
	@exec $(PYTHON) -m $(OPERATE) keep-key -- "$(KID)" "$(REASON)"

key-uses: setup  ## KID=… SINCE=… lists what a key gave to accounts since a time
	@exec $(PYTHON) -m $(OPERATE) key-uses -- "$(KID)" "$(SINCE)"

reseal-account: setup  ## WHO=… seals an account again that was restored to the seal of a retired key
	@exec $(PYTHON) -m $(OPERATE) reseal-account -- "$(WHO)"

drain: setup  ## REASON=… takes no new spending calls; running ones end
	@exec $(PYTHON) -m $(OPERATE) drain -- "$(REASON)"

archive-journal: setup  ## WHO=… REASON=… moves an account's entries to the bucket; again until it says that they are there
	@exec $(PYTHON) -m $(OPERATE) archive-journal -- "$(WHO)" "$(REASON)"

unarchive-journal: setup  ## WHO=… REASON=… moves an account's archived entries back to the database
	@exec $(PYTHON) -m $(OPERATE) unarchive-journal -- "$(WHO)" "$(REASON)"

redact-entry: setup  ## WHO=… SEQ=… REASON=… deletes the body of an entry; again until it says that the body is gone
	@exec $(PYTHON) -m $(OPERATE) redact-entry -- "$(WHO)" "$(SEQ)" "$(REASON)"

release-log: setup  ## WHO=… lets the transparency log go on with a parked account; ACCEPT_FORK=1 although it lost entries
	@exec $(PYTHON) -m $(OPERATE) release-log $(if $(ACCEPT_FORK),--accept-fork) -- "$(WHO)"

undrain: setup  ## takes spending calls again
	@exec $(PYTHON) -m $(OPERATE) undrain

log-key: setup  ## prints the policy that names the transparency log; VERSION=… the verifier key of a key in Cloud KMS
	@exec $(PYTHON) -m $(OPERATE) log-key $(if $(VERSION),"$(VERSION)")

log-status: setup  ## compares the transparency log with its anchors
	@exec $(PYTHON) -m $(OPERATE) log-status

export-log: setup  ## FILE=… writes all entries up to the newest checkpoint, or goes on with a file that was interrupted
	@exec $(PYTHON) -m $(OPERATE) export-log -- "$(FILE)"

restore-log: setup  ## BY=… REASON=… brings the log of a restored database back from its anchors (docs/operating/restore.md)
	@exec $(PYTHON) -m $(OPERATE) restore-log -- "$(BY)" "$(REASON)"

dead-events: setup  ## events that failed for too long
	@exec $(PYTHON) -m $(OPERATE) dead-events

resend-event: setup  ## EVENT=… handles a dead event again
	@exec $(PYTHON) -m $(OPERATE) resend-event -- "$(EVENT)"

discard-event: setup  ## EVENT=… REASON=… forgets a dead event that nobody can handle
	@exec $(PYTHON) -m $(OPERATE) discard-event -- "$(EVENT)" "$(REASON)"

model-off: setup  ## MODEL=… REASON=… takes a model off the offer
	@exec $(PYTHON) -m $(OPERATE) model-off -- "$(MODEL)" "$(REASON)"

model-on: setup  ## MODEL=… REASON=… offers a model again
	@exec $(PYTHON) -m $(OPERATE) model-on -- "$(MODEL)" "$(REASON)"

model-prices: setup  ## MODEL=… shows a model's price in credits, and its changes
	@exec $(PYTHON) -m $(OPERATE) model-prices -- "$(MODEL)"

addresses: setup  ## the first crypto addresses of each key, to compare with the wallet, and the gap limit that it needs
	@exec $(PYTHON) -m $(OPERATE) addresses

balances: setup  ## the coins that lie at crypto addresses, for your own sweep; NETWORK=… for one network
	@exec $(PYTHON) -m $(OPERATE) balances $(NETWORK)

find-token: setup  ## NETWORK=… CONTRACT=… looks for a token that nobody listed at all crypto addresses
	@exec $(PYTHON) -m $(OPERATE) find-token -- "$(NETWORK)" "$(CONTRACT)"

migrate: setup  ## NAME=… moves stored documents to the present form; DRY_RUN=1 only counts, LIMIT=N stops early
	@exec $(PYTHON) -m $(OPERATE) migrate $(NAME) $(if $(DRY_RUN),--dry-run) $(if $(LIMIT),--limit $(LIMIT))

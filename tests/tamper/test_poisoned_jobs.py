"""Documents of a stranger in every list that a job reads: each job ends, and no other item waits."""

import json

import pytest

from shared.kernel.clock import SECOND, to_datetime
from shared.kernel.documents import Create
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.backend import services_on
from tests.tamper.poisons import VALUES

LISTS = ("inbox", "payment_sagas", "leavings", "conversation_deletions", "agent_jobs", "agent_tasks", "accounts")
LISTS_IN_MILLIS = ("image_jobs", "image_tasks")
ALONE = (
    "provider_listings/stripe",
    "provider_listings/paypal",
    "ledger_log/head",
    "ledger_log/checkpoint",
    "ledger_log/days",
    "jobs/every_minute",
    "jobs/every_day",
    "jobs/freeze_breaker",
)
FIELDS = ("uid", "status", "saga", "lease", "state", "seq", "provider", "kind", "at", "notice", "wakes", "deadline_at")
MORE = (
    "step",
    "conversation",
    "cursor",
    "token",
    "jobs",
    "periods",
    "listed_to",
    "reviewed_at",
    "size",
    "root",
    "uids",
)
HUGE = frozenset({"huge text", "brackets"})
"""Values that would not fit into one document for all fields."""


@pytest.mark.parametrize("name", [name for name in VALUES if name not in HUGE])
def test_jobs_end_beside_documents_of_a_stranger(name, capsys):
    documents, clock, alerts = MemoryDocuments(), ManualClock(), MemoryAlerts()
    wrong = dict.fromkeys((*FIELDS, *MORE), VALUES[name])
    due = clock.now() - SECOND
    for collection in (*LISTS, *LISTS_IN_MILLIS):
        due_at = due if collection in LISTS_IN_MILLIS else to_datetime(due)
        documents.commit([Create(f"{collection}/poor", {"due_at": due_at, "due_shard": 1})])
        documents.commit([Create(f"{collection}/wrong", {**wrong, "due_at": due_at, "due_shard": 1})])
    documents.commit([Create("accounts/x/sealed/state", {**wrong, "due_at": to_datetime(due), "due_shard": 1})])
    documents.commit([Create(path, wrong) for path in (*ALONE, "losses/wrong", "users/wrong")])
    jobs = services_on(documents, clock, alerts=alerts).jobs

    done = {**jobs.run_schedule("every_minute"), **jobs.run_schedule("every_day")}

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["job"], line["code"]) for line in lines if line["event"] == "job_failed"] == []
    assert {line["job"] for line in lines if line["event"] == "job_done"} == done.keys()
    assert {"job_item_broken"} <= {alert.event for alert in alerts.raised}

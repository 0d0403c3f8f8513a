"""One poisoned account beside honest ones: each job finishes, the honest are served, and the poisoned is alerted.

`make tamper` tries every wrong value in every field of every document; `make test` tries a part of them.
"""

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from shared.bootstrap import Services
from shared.kernel.clock import MINUTE
from shared.kernel.errors import DomainError
from shared.kernel.ids import HoldId, Uid
from shared.ledger.audit_position import AuditPositions
from shared.ledger.key_ring import KeyRing
from shared.ledger.positions import read_position
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books as ask
from tests.support.backend import services_on
from tests.tamper.accounts import fill, fill_plainly
from tests.tamper.poisons import ANOTHERS, Poison, poisons

HONEST = tuple(Uid(f"honest-{number:03d}") for number in range(100))
MODEL, OTHER = Uid("model"), Uid("other")
AT_ONCE = 60
"""Poisoned accounts beside the honest ones in one world."""
SILENT = {
    ("/audited/position", "", "gone"): "the audit begins at the first entry",
    ("/relay/usage", "", "gone"): "the entries are published again, and added up again",
    ("/relay/usage", "relay", "null"): "the entries are published again",
    ("/relay/usage", "relay", "missing"): "the entries are published again",
    ("/relay/usage", "is_clearing", "true"): "the usage is added up again",
    ("/relay/usage", "seq", "zero"): "the usage is added up again",
    ("/outbox/log", "relay", "missing"): "a relay reads the marker",
    ("/audited/position", "seal", "other text"): "the audit begins at the first entry",
    ("/operations/op_6209ebe84ec97a04a0d0571b", "expires_at", "missing"): "the record is kept for longer",
    ("/operations/h1", "", "gone"): "the record of a placed hold may be left out",
    ("/operations/h2", "", "gone"): "the record of a placed hold may be left out",
    ("/operations/empty", "", "gone"): "the record of a direct charge may be left out",
    ("/operations/news", "", "gone"): "the record of a direct charge may be left out",
}
"""Edits that nobody is told of, and why."""
IS_LONG = os.environ.get("TAMPER") == "long"


@dataclass(frozen=True)
class World:
    documents: MemoryDocuments
    clock: ManualClock
    alerts: MemoryAlerts
    services: Services


def world_with(uids: Sequence[Uid], honest: Sequence[Uid] = HONEST) -> World:
    """Build honest and other accounts whose entries were published and audited once, with news since."""
    documents, clock, alerts = MemoryDocuments(), ManualClock(), MemoryAlerts()
    services = services_on(documents, clock, alerts=alerts)
    for uid in honest:
        fill_plainly(services, uid)
    for uid in uids:
        fill(services, uid)
    run_jobs(services)
    clock.advance(MINUTE)
    for uid in (*honest, *uids):
        services.credits.ledger.execute(uid, ask.charge(1, operation="news"))
    clock.advance(20 * MINUTE)
    return World(documents, clock, alerts, services_on(documents, clock, alerts=alerts))


def run_jobs(services: Services) -> None:
    """Run the jobs of a day, a minute and a day."""
    for schedule in ("every_day", "every_minute", "every_day"):
        services.jobs.run_schedule(schedule)


def sample() -> list[list[Poison]]:
    """Return the edits of this run, in groups for one world each."""
    every = list(poisons(world_with([MODEL, OTHER], ()).documents, MODEL, OTHER))
    random.Random(17).shuffle(every)
    chosen = every if IS_LONG else every[:AT_ONCE]
    return [chosen[first : first + AT_ONCE] for first in range(0, len(chosen), AT_ONCE)]


def is_silent(edit: Poison) -> bool:
    """Return True if nobody is told of the edit: the relay writes the day's usage again, the log walks all accounts.

    A note that is gone was erased.
    """
    is_of_note = (edit.document, edit.value) == ("/notes/adjust", "gone") or edit.field == "has_note"
    is_written_again = edit.document.startswith("/usage/") and (edit.field == "uid" or edit.value == ANOTHERS)
    is_of_log = edit.document.startswith("/log/") or edit.field == "log"
    return (edit.document, edit.field, edit.value) in SILENT or is_of_note or is_written_again or is_of_log


def tried(work: Callable[[], object]) -> None:
    """Do what a caller does: it is answered, or refused by an error that the edges know."""
    try:
        work()
    except DomainError:
        return


def operate(services: Services, uid: Uid) -> None:
    """Ask for everything that reads a document of the account."""
    ledger = services.credits.ledger
    for work in (
        lambda: ledger.execute(uid, ask.charge(1, operation="next")),
        lambda: ledger.execute(uid, ask.reverse("gift", 50, operation="reverse")),
        lambda: ledger.execute(uid, ask.capture("h1", 60, operation="c1")),
        lambda: ledger.hold(uid, HoldId("h1")),
        lambda: ledger.balance(uid),
        lambda: ledger.history(uid, before=None, limit=50),
        lambda: list(ledger.export(uid)),
        lambda: ledger.verify(uid),
        lambda: services.credits.analytics.report(uid, "2026-09-01", "2026-09-30"),
        lambda: services.credits.watch.relay(uid),
    ):
        tried(work)


@pytest.mark.parametrize("edits", sample(), ids=lambda edits: f"{len(edits)}-edits")
def test_jobs_serve_the_honest_beside_poisoned_accounts(edits, capsys):
    uids = [Uid(f"poisoned-{number:03d}") for number in range(len(edits))]
    world = world_with([*uids, OTHER])
    for uid, edit in zip(uids, edits, strict=True):
        world.documents.commit([edit.write(world.documents, uid, OTHER)])
    capsys.readouterr()

    run_jobs(world.services)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    broken = [line for line in lines if line["event"] in {"job_failed", "audit_failed"}]
    assert not broken, "\n".join(line["stack_trace"] for line in broken)
    positions = AuditPositions(world.documents, KeyRing(world.services.settings.ledger_signing_keys), "test")
    for uid in HONEST:
        seq = world.services.credits.ledger.balance(uid).seq
        assert read_position(world.documents, uid).published == seq
        assert positions.read(uid).position.account.seq == seq
    assert not {alert.fields.get("uid") for alert in world.alerts.raised} & {*HONEST, OTHER}
    for uid in uids:
        operate(services_on(world.documents, world.clock, alerts=world.alerts), uid)
    run_jobs(world.services)
    lines += [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alerted = {alert.fields.get("uid", alert.fields.get("item")) for alert in world.alerts.raised}
    alerted |= {line["uid"] for line in lines if line["event"] == "account_not_audited"}
    silent = [edit for uid, edit in zip(uids, edits, strict=True) if uid not in alerted and not is_silent(edit)]
    assert not silent, "\n".join(f"{each.document} {each.field} {each.value}" for each in silent)

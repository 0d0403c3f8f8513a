"""Entries whose bodies were deleted: the log names the snapshot first, and all that reads the journal goes on."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.canonical import canonical
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Delete, OutcomeUnknown, Patch, Put
from shared.ledger.errors import (
    EntryNotFound,
    EntryRedacted,
    IntegrityFailed,
    JournalTooLong,
    NotLoggedYet,
    NotPublishedYet,
)
from shared.ledger.history import EntryFilter
from shared.ledger.keys import REDACTION_CONTEXT
from shared.ledger.log.sequencer import Sequencer
from shared.ledger.log.typed_leaves import queue_leaf, read_leaf, typed_leaf_path
from shared.ledger.redaction_store import redaction_path
from shared.ledger.redactions import leaf_body, leaf_name
from shared.sagas.accounts.day_sample import SampleSweep
from shared.sagas.engine.jobs import JobRun
from shared.sagas.metering.call_journal import CONVERSATION, CallJournal, CallSearch
from shared.sagas.metering.stop_requests import EVERYBODY
from tests.support import books as ask
from tests.support.faults import Crash, FaultyDocuments
from tests.support.logged_accounts import sign_head
from tests.support.logged_exports import ANN
from tests.support.redactions import EVE, RedactingLedger

DAYS = ("2000-01-01", "2100-01-01")
ALL_KINDS = frozenset({"grant", "refund", "charge", "expiry", "reversal", "adjustment", "hold", "extension"})


@pytest.fixture(scope="module")
def made() -> RedactingLedger:
    return RedactingLedger()


@pytest.fixture
def world(made: RedactingLedger) -> RedactingLedger:
    return made.copy()


def test_nothing_but_the_body_goes_when_any_entry_is_redacted(made: RedactingLedger) -> None:
    balance, usage = made.ledger.balance(EVE), made.services.credits.analytics.report(EVE, *DAYS)
    for seq in range(1, made.seq() + 1):
        world = made.copy()
        before = world.ledger.entry(EVE, seq)
        world.redact(EVE, seq)
        after = world.ledger.entry(EVE, seq)
        shown = (after.kind, after.at, after.amount, after.balance_after, after.held_after, after.hash)
        assert shown == (before.kind, before.at, before.amount, before.balance_after, before.held_after, before.hash)
        assert world.faults() == [], f"entry {seq}"
        assert world.ledger.balance(EVE) == balance
        assert world.services.credits.analytics.rebuild(EVE) == made.seq()
        assert world.services.credits.analytics.report(EVE, *DAYS) == usage, f"entry {seq}"
        assert world.fleet.alarms == []


def test_all_bodies_can_go_one_after_the_other(world: RedactingLedger) -> None:
    for seq in range(world.seq(), 0, -1):
        world.redact(EVE, seq)
    assert world.faults() == []
    assert "body" not in {name for seq in range(1, world.seq() + 1) for name in world.entry(EVE, seq).data}
    world.run(world.services, EVE, ask.charge(5), ask.capture("h3", 25))
    world.relay()
    world.sign()
    assert world.faults() == []


def test_the_body_stays_until_the_checkpoint_has_the_leaf(world: RedactingLedger) -> None:
    assert [world.step(EVE, 4) for _ in range(2)] == ["waiting", "waiting"]
    world.append()
    assert world.step(EVE, 4) == "waiting"
    assert "body" in world.entry(EVE, 4).data
    world.sign()
    assert [world.step(EVE, 4) for _ in range(2)] == ["redacted", "redacted"]
    assert "body" not in world.entry(EVE, 4).data


def test_the_note_of_an_entry_goes_with_the_body(world: RedactingLedger) -> None:
    world.run(world.services, EVE, replace(ask.adjust(3, operation="noted"), note="for Eve"))
    world.relay()
    world.sign()
    seq, path = world.stored_seq, f"accounts/{EVE}/notes/noted"
    assert world.ledger.entry(EVE, seq).note == "for Eve"
    assert world.step(EVE, seq) == "waiting"
    assert world.documents.get(path) is not None
    world.sign()
    assert world.step(EVE, seq) == "redacted"
    assert world.documents.get(path) is None
    assert "for Eve" not in "".join(world.export(EVE))
    assert world.faults() == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [Crash(), OutcomeUnknown()])
def test_a_redaction_goes_on_after_a_failure_at_each_commit(world: RedactingLedger, when: Any, error: Any) -> None:
    for _ in range(2):
        faulty = FaultyDocuments(world.documents, at=1, when=when, error=error)
        with pytest.raises(type(error)):
            world.redactor_on(faulty).redact(EVE, 3, NEVER)
        assert world.faults() == []
        world.step(EVE, 3)
        world.sign()
    assert world.step(EVE, 3) == "redacted"
    assert world.faults() == []


class Racing(FaultyDocuments):
    """Store that lets another operator act just before the first commit."""

    def __init__(self, inner: Any, other: Callable[[], object]) -> None:
        super().__init__(inner)
        self._other = other

    def commit(self, writes: Any, *, timeout_seconds: float = 10.0) -> Any:
        if self.commits == 0:
            self._other()
        return super().commit(writes, timeout_seconds=timeout_seconds)


def test_two_operators_at_once_redact_once(world: RedactingLedger) -> None:
    racing = Racing(world.documents, lambda: world.step(EVE, 3))
    assert world.redactor_on(racing).redact(EVE, 3, NEVER) == "waiting"
    world.sign()
    racing = Racing(world.documents, lambda: world.step(EVE, 3))
    assert world.redactor_on(racing).redact(EVE, 3, NEVER) == "redacted"
    assert world.faults() == []


def test_an_entry_of_a_frozen_account_can_be_redacted(world: RedactingLedger) -> None:
    world.run(world.services, EVE, ask.freeze())
    world.redact(EVE, 2)
    assert world.faults() == []


def test_a_redaction_is_refused_before_log_and_relay(world: RedactingLedger) -> None:
    world.run(world.services, EVE, ask.charge(1))
    with pytest.raises(NotLoggedYet):
        world.step(EVE, world.seq())
    world.sign()
    with pytest.raises(NotPublishedYet):
        world.step(EVE, world.seq())
    with pytest.raises(EntryNotFound):
        world.step(EVE, world.seq() + 1)
    with pytest.raises(JournalTooLong):
        world.redactor_on(world.documents, page=2).redact(EVE, 5, Deadline.within(world.fleet.clock, 0))


def test_a_redacted_entry_has_no_receipt(world: RedactingLedger) -> None:
    world.redact(ANN, 2)
    with pytest.raises(EntryRedacted):
        world.ledger.receipt(ANN, 2)
    assert world.ledger.receipt(ANN, 3).hash == world.ledger.entry(ANN, 3).hash


def test_the_history_shows_a_redacted_entry(world: RedactingLedger) -> None:
    world.redact(EVE, 4)
    page = world.ledger.history(EVE, before=None, limit=50, wanted=EntryFilter())
    [shown] = [each for each in page.items if each.seq == 4]
    assert (shown.amount, shown.operation, shown.note) == (-40, "redacted:", None)


def test_the_trigger_is_silent_for_a_rightful_redaction_only(world: RedactingLedger) -> None:
    world.redact(EVE, 4)
    world.services.credits.watch.entry_changed(EVE, 4)
    assert world.fleet.alarms == []
    world.services.credits.watch.entry_changed(EVE, 5)
    assert len(world.fleet.alarms) == 1


def _forged(world: RedactingLedger, seq: int) -> None:
    """Delete a body as somebody without a key would: with the statement and seal of another entry."""
    other = world.entry(EVE, 4).data
    body = world.entry(EVE, seq)
    kept = {"kind": body.data["kind"], "signature": body.data["signature"]}
    world.documents.commit([Put(body.path, {**other, **kept})])


def _unnamed(world: RedactingLedger, seq: int) -> None:
    """Delete a body as a thief of the key would: with all documents, and no leaf."""
    world.step(EVE, seq)
    stored = world.documents.get(redaction_path(EVE, seq))
    assert stored is not None
    body = world.entry(EVE, seq)
    data = {
        "kind": body.data["kind"],
        "signature": body.data["signature"],
        "statement": stored.data["statement"],
        "seal": stored.data["seal"],
    }
    leaf = typed_leaf_path(leaf_name("demo-test", EVE, seq))
    world.documents.commit([Put(body.path, data), Delete(leaf)])
    world.sign()


@pytest.mark.parametrize("forge", [_forged, _unnamed])
@pytest.mark.parametrize("seq", [1, 3, 9])
def test_a_forged_redaction_is_found_by_each_reader(world: RedactingLedger, forge: Any, seq: int) -> None:
    world.redact(EVE, 4)
    forge(world, seq)
    found = [each.rule for each in world.ledger.verify(EVE) if each.seq == seq]
    assert "redaction" in found
    audited = [each.rule for each in world.ledger.audit(EVE, NEVER).findings if each.seq == seq]
    assert "redaction" in audited
    world.services.credits.watch.entry_changed(EVE, seq)
    assert [each.event for each in world.fleet.alerts.raised] == ["ledger_tampered"]
    with pytest.raises(IntegrityFailed):
        world.step(EVE, seq)


def _edited(world: RedactingLedger, path: str, **fields: Any) -> None:
    world.documents.commit([Patch(path, fields)])


EDITS: dict[str, Callable[[RedactingLedger], None]] = {
    "statement": lambda world: _edited(
        world,
        world.entry(EVE, 4).path,
        statement=str(world.entry(EVE, 4).data["statement"]).replace('"posted":', '"posted":1'),
    ),
    "seal": lambda world: _edited(world, world.entry(EVE, 4).path, seal=str(world.entry(EVE, 4).data["seal"])[:-4]),
    "signature": lambda world: _edited(world, world.entry(EVE, 4).path, signature=bytes(64)),
    "kind": lambda world: _edited(world, world.entry(EVE, 4).path, kind="grant"),
    "statement of a wrong type": lambda world: _edited(world, world.entry(EVE, 4).path, statement=7),
    "seal of a wrong type": lambda world: _edited(world, world.entry(EVE, 4).path, seal=b"7"),
    "a body beside": lambda world: _edited(world, world.entry(EVE, 4).path, body="{}"),
    "snapshot": lambda world: _edited(world, redaction_path(EVE, 4), snapshot="{}"),
    "snapshot deleted": lambda world: _deleted(world, redaction_path(EVE, 4)),
    "leaf deleted": lambda world: _deleted(world, typed_leaf_path(leaf_name("demo-test", EVE, 4))),
    "leaf of another index": lambda world: _edited(world, typed_leaf_path(leaf_name("demo-test", EVE, 4)), index=0),
    "leaf of a huge index": lambda world: _edited(world, typed_leaf_path(leaf_name("demo-test", EVE, 4)), index=2**62),
}


def _deleted(world: RedactingLedger, path: str) -> None:
    world.documents.commit([Delete(path)])


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_redaction_is_found_at_the_entry(world: RedactingLedger, edit: str) -> None:
    world.redact(EVE, 4)
    assert world.faults() == []
    EDITS[edit](world)
    assert 4 in {each.seq for each in world.ledger.verify(EVE)}
    assert 4 in {each.seq for each in world.ledger.audit(EVE, NEVER).findings}
    assert world.ledger.redactions.is_rightful(EVE, 4) is False


def _lines(world: RedactingLedger) -> list[dict[str, Any]]:
    return [json.loads(line) for line in world.export(EVE)]


def test_an_export_without_a_body_shows_hash_signature_and_proofs(world: RedactingLedger) -> None:
    before = _lines(world)
    world.redact(EVE, 4)
    told = _lines(world)
    [line] = [each for each in told if each["type"] == "redacted"]
    [entry] = [each for each in before if each["type"] == "entry" and each["seq"] == 4]
    assert {name: line[name] for name in ("seq", "hash", "signature", "kind")} == {
        name: entry[name] for name in ("seq", "hash", "signature", "kind")
    }
    assert line["snapshot_index"] > line["index"] >= 0
    assert entry["body"] not in json.dumps(told)


@pytest.mark.parametrize(("kid", "is_logged"), [("new", True), ("old", False)])
def test_the_log_takes_no_snapshot_that_a_retired_key_sealed(world: RedactingLedger, kid: str, is_logged: bool) -> None:
    seal = world.services.credits.keys.sign(REDACTION_CONTEXT, b"{}", kid)
    leaf = queue_leaf("snapshot", "forged", leaf_body("{}", f"{kid}:{seal}"), world.fleet.clock.now())
    world.documents.commit([leaf])
    world.append()
    queued = read_leaf(world.documents, "forged")
    assert queued is not None
    assert (queued.index is not None) is is_logged


def test_an_export_shows_a_snapshot_that_was_logged_behind_its_keys_end(world: RedactingLedger) -> None:
    _unnamed(world, 3)
    stored = world.documents.get(redaction_path(EVE, 3))
    assert stored is not None
    statement = str(stored.data["statement"])
    told = json.loads(statement)
    told["redacted"]["at"] = 0
    early = canonical(told).decode()
    seal = f"old:{world.services.credits.keys.sign(REDACTION_CONTEXT, early.encode(), 'old')}"
    fields = {"statement": early, "seal": seal}
    name = leaf_name("demo-test", EVE, 3)
    world.documents.commit(
        [
            Patch(redaction_path(EVE, 3), fields),
            Patch(world.entry(EVE, 3).path, fields),
            queue_leaf("snapshot", name, leaf_body(early, seal), world.fleet.clock.now()),
        ]
    )
    lax = Sequencer(world.documents, world.ledger.check_links, world.fleet.clock)
    lax.append([], [typed_leaf_path(name)])
    sign_head(world.documents)
    [found] = world.ledger.verify(EVE)
    assert (found.seq, found.rule, found.detail) == (
        3,
        "redaction",
        "the log has the snapshot behind the end of key old",
    )


def test_calls_are_found_beside_redacted_entries(world: RedactingLedger) -> None:
    for seq in (3, 4):
        world.redact(EVE, seq)
    search = CallSearch(uid=EVE, caller=EVERYBODY, tag=CONVERSATION, value="none")
    assert CallJournal(world.ledger).last(search) is None


@pytest.mark.parametrize("forge", [None, _forged, _unnamed])
def test_a_close_and_a_sample_know_a_redacted_last_entry(world: RedactingLedger, forge: Any) -> None:
    world.redact(EVE, 4)
    world.close_day()
    last = world.stored_seq
    if forge is None:
        world.redact(EVE, last)
    else:
        forge(world, last)
    watch, days, clock = world.services.credits.watch, world.services.credits.days, world.fleet.clock
    SampleSweep(world.documents, days, world.ledger, watch, clock).verify(JobRun("", clock, 60.0))
    world.run(world.services, EVE, ask.grant("more", 1))
    world.close_day()
    rules = {each.fields.get("rule") for each in world.fleet.alerts.raised}
    assert rules == {None: set(), _forged: {"identity", "rewritten"}, _unnamed: {"redaction", "rewritten"}}[forge]

"""The audit of an account goes on from a signed position, and no edit of the store hides behind the position."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Delete, Patch, PreconditionFailed, Put
from shared.kernel.ids import OperationId, Uid
from shared.kernel.settings import SigningKey
from shared.ledger.account_audit import SAMPLE_TURNS, AccountAudits, AuditSizes, AuditTurn
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.audit_position import AuditPositions, position_path
from shared.ledger.fold import FOLD_VERSION
from shared.ledger.key_ring import KeyRing
from shared.ledger.markers import marker_path
from shared.ledger.store import entry_path, operation_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books as ask
from tests.support.ledgers import KEYS, UID, World, charge, grant

LEDGER = "demo-test"
LONG = 100.0
SIZES = AuditSizes(page=50, sample_min=50, names_at_once=120)
COMPLETE = AuditTurn(findings=(), is_complete=True)
PAGE = f"accounts/{UID}/audited/names-000000"


def spend(world: World, first: int, last: int, uid: Uid = UID) -> None:
    """Add entries `first` to `last` to the journal. The first is a grant."""
    ledger = world.ledger
    if first == 1:
        ledger.execute(uid, grant("g", 10**9))
    ledger.execute_all(uid, [charge(f"c{number}", 1) for number in range(max(first, 2), last + 1)])


def audit(world: World, seconds: float = LONG, keys: KeyRing = KEYS, uid: Uid = UID) -> AuditTurn:
    deadline = Deadline.within(world.clock, seconds)
    return AccountAudits(world.documents, keys, LEDGER, world.alerts, SIZES).audit(uid, deadline)


def audited(world: World, uid: Uid = UID) -> int:
    """Return the seq of the stored position; 0 if there is none that can be used."""
    return AuditPositions(world.documents, KEYS, LEDGER).read(uid).position.account.seq


def found(turn: AuditTurn) -> list[tuple[int, str]]:
    return [(finding.seq, finding.rule) for finding in turn.findings]


def taken(world: World, *paths: str) -> list[Any]:
    """Take the documents, as a thief or a backup does."""
    documents = [world.documents.get(path) for path in paths]
    return [Put(each.path, each.data) for each in documents if each is not None]


@pytest.fixture
def world() -> World:
    world = World()
    spend(world, 1, 120)
    return world


class SlowEntries(MemoryDocuments):
    """Store in which each read of entries takes a second."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock

    def query(self, query: Any) -> Any:
        if query.collection.endswith("/entries"):
            self.clock.advance(1_000)
        return super().query(query)


def test_older_entries_leave_half_of_the_time_to_new_ones() -> None:
    clock = ManualClock()
    world = World(documents=SlowEntries(clock), clock=clock)
    spend(world, 1, 30 * SIZES.page)
    while not audit(world, 1_000).is_complete:
        pass
    spend(world, 30 * SIZES.page + 1, 50 * SIZES.page)

    sizes = replace(SIZES, sample_min=30 * SIZES.page)
    turn = AccountAudits(world.documents, KEYS, LEDGER, world.alerts, sizes).audit(UID, Deadline.within(clock, 20))

    assert turn == AuditTurn()
    assert audited(world) >= 38 * SIZES.page


class Counted(MemoryDocuments):
    """A store that counts the entries that are read, and fails at one commit."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = self.commits = self.dies_at = 0

    def query(self, query):
        found = super().query(query)
        self.entries += len(found) if query.collection.endswith("/entries") else 0
        return found

    def commit(self, writes, *, timeout_seconds=10.0):
        self.commits += 1
        if self.commits == self.dies_at:
            raise KeyboardInterrupt
        return super().commit(writes, timeout_seconds=timeout_seconds)


def test_an_audit_reads_only_what_is_new_and_a_sample():
    store = Counted()
    world = World(documents=store)
    spend(world, 1, 300)
    first = audit(world)
    store.entries = 0
    spend(world, 301, 310)

    second = audit(world)

    assert (first, second) == (COMPLETE, COMPLETE)
    assert audited(world) == 310
    assert store.entries == 10 + 50


def test_an_audit_without_time_goes_on_page_by_page(world):
    turns = [audit(world, seconds=0) for _ in range(3)]

    assert [turn.is_complete for turn in turns] == [False, False, True]
    assert [turn.findings for turn in turns] == [(), (), ()]


def test_an_audit_killed_at_each_commit_still_ends():
    store = Counted()
    world = World(documents=store)
    spend(world, 1, 120)
    turns: list[AuditTurn] = []
    while not turns and store.commits < 100:
        store.dies_at = store.commits + 2
        with suppress(KeyboardInterrupt):
            turns.append(audit(world))

    assert turns == [COMPLETE]


def test_of_two_audits_at_once_one_stores(world):
    positions = AuditPositions(world.documents, KEYS, LEDGER)
    early = positions.read(UID)
    audit(world, seconds=0)

    with pytest.raises(PreconditionFailed):
        positions.store(UID, early.position, early.version)

    assert audited(world) == 50


def test_a_life_audited_at_every_step_is_the_fold_of_its_journal():
    """Lots and holds leave the state before one audit, and entries after the next audit name them again."""
    world = World()
    ledger = world.ledger
    steps = [
        ask.grant("paid", 100, is_paid=True),
        ask.hold("h", 60),
        ask.capture("h", 60),
        ask.charge(40),
        ask.reverse("paid", 30),
        ask.grant("later", 50),
        ask.restore("paid", 10),
        ask.suspend("s", "later"),
        ask.reinstate("s"),
        ask.reverse("paid", 100),
        ask.grant("last", 500),
        ask.charge(100),
    ]
    turns = []
    for step in steps:
        world.clock.advance(1_000)
        ledger.execute(UID, step)
        turns.append(audit(world))

    assert turns == [COMPLETE] * len(steps)
    assert ledger.verify(UID) == []


# The account and its journal ---------------------------------------------------------------------------------------


def test_an_account_rolled_back_behind_its_audit_is_found(world):
    old = taken(world, account_path(UID), state_path(UID))
    spend(world, 121, 130)
    audit(world)

    world.documents.commit([*old, *(Delete(entry_path(UID, seq)) for seq in range(121, 131))])

    assert found(audit(world)) == [(121, "sequence")]


def test_a_rollback_to_the_last_audit_is_found_by_the_announced_entries(world):
    audit(world)
    old = taken(world, account_path(UID), state_path(UID))
    spend(world, 121, 130)

    world.documents.commit([*old, *(Delete(entry_path(UID, seq)) for seq in range(121, 131))])

    assert found(audit(world)) == [(121, "sequence")]


def test_a_rollback_beside_a_deleted_position_is_found_by_the_published_entries(world):
    old = taken(world, account_path(UID), state_path(UID))
    spend(world, 121, 130)
    audit(world)
    world.relay.relay(UID)
    cut = [Delete(entry_path(UID, seq)) for seq in range(121, 131)]

    world.documents.commit([*old, *cut, Delete(position_path(UID))])

    assert found(audit(world)) == [(121, "sequence")]


def test_a_rollback_followed_by_other_entries_is_found(world):
    old = taken(world, account_path(UID), state_path(UID))
    spend(world, 121, 130)
    audit(world)
    removed = [operation_path(UID, charge(f"c{number}", 1).operation) for number in range(121, 131)]

    entries = [entry_path(UID, seq) for seq in range(121, 131)]
    world.documents.commit([*old, *map(Delete, entries), *map(Delete, removed)])
    world.clock.advance(1)
    spend(world, 121, 150)

    assert (131, "link") in found(audit(world))


def test_a_tail_that_was_cut_is_found(world):
    audit(world)
    world.documents.commit([Delete(entry_path(UID, 120))])

    turns = [audit(world) for _ in range(3)]

    assert [(120, "sequence")] in map(found, turns)


@pytest.mark.parametrize(
    ("seq", "edit"),
    [
        *((seq, {"hash": "0" * 64}) for seq in (1, 49, 50, 51, 100, 101, 120)),
        *((50, edit) for edit in ({"body": "{}"}, {"signature": "A" * 88}, {"kind": "grant "}, {"schema": 2})),
    ],
)
def test_an_edited_old_entry_is_found_within_the_turns_of_a_round(world, seq, edit):
    audit(world)
    world.documents.commit([Patch(entry_path(UID, seq), edit)])

    turns = [audit(world) for _ in range(4)]

    assert seq in {finding.seq for turn in turns for finding in turn.findings}


@pytest.mark.parametrize("seq", [1, 50, 51, 70])
def test_a_deleted_old_entry_is_found_within_the_turns_of_a_round(world, seq):
    audit(world)
    world.documents.commit([Delete(entry_path(UID, seq))])

    turns = [audit(world) for _ in range(4)]

    assert (seq, "sequence") in {each for turn in turns for each in found(turn)}


def test_every_old_entry_is_verified_again_within_a_bounded_number_of_turns():
    store = Counted()
    world = World(documents=store)
    spend(world, 1, 1_600)
    audit(world)
    store.entries = 0

    for _ in range(SAMPLE_TURNS):
        assert audit(world) == COMPLETE

    assert store.entries >= 1_600


def test_an_operation_with_a_second_effect_after_its_audit_is_found(world):
    audit(world)
    again = charge("c7", 1)
    world.documents.commit([Delete(operation_path(UID, again.operation))])
    world.ledger.execute(UID, again)

    assert found(audit(world)) == [(121, "operation"), (7, "operation")]
    assert found(audit(world))[0] == (121, "operation"), "the position stays before a finding"


@pytest.mark.parametrize("path", [account_path(UID), state_path(UID)])
def test_a_missing_document_of_an_audited_account_is_found(world, path):
    audit(world)
    world.documents.commit([Delete(path)])

    assert audit(world).findings != ()


def test_an_unsealed_field_that_was_edited_is_found(world):
    audit(world)
    world.documents.commit([Patch(account_path(UID), {"available": "5"})])

    assert found(audit(world)) == [(0, "plain_balance")]


def test_a_claimed_number_of_entries_costs_no_time(world):
    audit(world)
    world.documents.commit([Patch(account_path(UID), {"seq": 2**60})])

    assert (0, "plain_balance") in found(audit(world))


def test_a_document_between_entries_is_found(world):
    world.documents.commit([Put(f"accounts/{UID}/entries/000000000030x", {"body": "{}"})])

    assert (0, "sequence") in found(audit(world))


def test_an_account_without_entries_has_no_position():
    world = World()
    world.ledger.open(UID)

    assert audit(world) == COMPLETE
    assert world.documents.get(position_path(UID)) is None


def test_an_idle_account_with_few_entries_costs_no_write():
    store = Counted()
    world = World(documents=store)
    spend(world, 1, 50)
    audit(world)
    store.commits = 0

    assert audit(world) == COMPLETE
    assert store.commits == 0


# The position ------------------------------------------------------------------------------------------------------


def _another_key(world: World) -> None:
    thief = KeyRing((SigningKey(kid=KEYS.kid, seed=bytes(32)),))
    known = AuditPositions(world.documents, KEYS, LEDGER).read(UID)
    AuditPositions(world.documents, thief, LEDGER).store(UID, known.position, known.version)


def _another_account(world: World) -> None:
    spend(world, 1, 20, uid=Uid("bob"))
    audit(world, uid=Uid("bob"))
    document = world.documents.get(position_path(Uid("bob")))
    assert document is not None
    world.documents.commit([Put(position_path(UID), document.data)])


def _another_state(world: World) -> None:
    data = world.documents.get(position_path(UID)).data  # type: ignore[union-attr]
    world.documents.commit([Patch(position_path(UID), {"state": str(data["state"]).replace('"debt":0', '"debt":1')})])


def _another_page(world: World) -> None:
    world.documents.commit([Patch(PAGE, {"content": bytes(8)})])


FORGERIES: list[Callable[[World], None]] = [_another_key, _another_account, _another_state, _another_page]


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_position_is_told_and_costs_only_another_audit(world, forge):
    audit(world)
    forge(world)
    spend(world, 121, 122)

    assert audit(world) == COMPLETE
    assert [(alert.event, alert.fields["rule"]) for alert in world.alerts.raised] == [
        ("integrity_failed", "audit_position")
    ]
    assert audited(world) == 122


@pytest.mark.parametrize("forge", [lambda world: world.documents.commit([Delete(position_path(UID))]), *FORGERIES])
def test_an_edited_entry_before_a_lost_position_is_found(world, forge):
    audit(world)
    forge(world)
    world.documents.commit([Patch(entry_path(UID, 60), {"hash": "0" * 64})])
    spend(world, 121, 122)

    assert (60, "hash") in found(audit(world))


def test_a_position_of_an_earlier_time_is_used_without_a_finding(world):
    audit(world, seconds=0)
    old = taken(world, position_path(UID), PAGE)
    audit(world)
    world.documents.commit(old[:1])

    assert audit(world) == COMPLETE
    assert audited(world) == 120


def test_a_position_signed_by_a_retired_key_costs_only_another_audit(world):
    older = SigningKey(kid="older", seed=bytes([7] * 32))
    current = SigningKey(kid=KEYS.kid, seed=bytes(range(32)))
    both = KeyRing((older, current))
    audit(world, keys=both)

    assert audit(world, keys=KEYS) == COMPLETE
    assert world.alerts.raised == []


def test_an_old_entry_by_a_retired_key_is_no_finding_once_audited():
    """The entry's link is checked. The signature was checked while the key was in the ring."""
    world = World()
    newer = SigningKey(kid="newer", seed=bytes([9] * 32))
    spend(world, 1, 20)
    both = KeyRing((newer, SigningKey(kid=KEYS.kid, seed=bytes(range(32)))))
    audit(world, keys=both)
    alone = KeyRing((newer,))

    assert {rule for _, rule in found(audit(world, keys=alone))} <= {"unknown_key"}


def test_a_position_of_another_fold_costs_only_another_audit(world):
    audit(world)
    known = AuditPositions(world.documents, KEYS, LEDGER).read(UID)
    newer = AuditPositions(world.documents, KEYS, LEDGER, fold=FOLD_VERSION + 1)
    newer.store(UID, known.position, known.version)

    assert audit(world) == COMPLETE
    assert world.alerts.raised == []


def test_a_state_that_an_old_position_contradicts_is_confirmed_from_the_first_entry(world):
    """A fold that was wrong in an earlier release must not freeze its accounts."""
    audit(world)
    positions = AuditPositions(world.documents, KEYS, LEDGER)
    known = positions.read(UID)
    wrong = replace(known.position, account=replace(known.position.account, tat=77))
    positions.store(UID, wrong, known.version)

    assert audit(world) == COMPLETE
    assert positions.read(UID).position.account.tat == 0


def test_a_frozen_account_is_audited_like_any_other(world):
    audit(world)
    world.ledger.execute(UID, ask.freeze())

    assert audit(world) == COMPLETE
    assert audited(world) == 121


def test_an_operation_is_named_by_its_entry():
    world = World()
    spend(world, 1, 3)
    audit(world)
    name = charge("c3", 1).operation
    world.documents.commit([Delete(operation_path(UID, OperationId(name)))])
    spend(world, 3, 3)

    assert audit(world).findings[0].detail == f"operation:{name} has an effect twice"


def test_account_whose_marker_an_early_release_deleted_is_sound(world):
    world.relay.relay(UID)
    audit(world)
    world.documents.commit([Delete(marker_path(UID))])

    assert audit(world) == COMPLETE

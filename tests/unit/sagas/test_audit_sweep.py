"""The nightly audit reaches every account, however large another account is and wherever a worker dies."""

from contextlib import suppress
from typing import Any

import pytest

from shared.bootstrap.schemas import SCHEMAS
from shared.kernel.documents import Delete, Patch
from shared.kernel.ids import Uid
from shared.kernel.listings import InvalidToken
from shared.kernel.schemas import SCHEMA_VERSION
from shared.kernel.settings import SigningKey
from shared.ledger.audit_position import AuditPositions, position_path
from shared.ledger.key_ring import KeyRing
from shared.ledger.ledger import Ledger
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.versioned.documents import VersionedDocuments
from shared.sagas.accounts.audit_sweep import AuditSweep
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import ALERTS_MAX, JobRun
from tests.support.ledgers import KEYS, World, charge, grant, ledger_on

GIANT = Uid("b")
SMALL = [Uid(name) for name in "acde"]
ENTRIES = 2_100
RUN_SECONDS = 60.0


class SlowStore(MemoryDocuments):
    """A store where a whole page of entries takes 30 s, and where a worker dies at one store of a position."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.position_seconds = 0
        self.dies_at: int | None = None

    def get(self, path: str) -> Any:
        if path.endswith("/audited/position"):
            self.clock.advance(self.position_seconds * 1_000)
        return super().get(path)

    def query(self, query: Any) -> Any:
        found = super().query(query)
        if query.collection.endswith("/entries") and len(found) == query.limit == 500:
            self.clock.advance(30_000)
        return found

    def commit(self, writes: Any, **more: Any) -> Any:
        if self.dies_at is not None and any(write.path == position_path(GIANT) for write in writes):
            self.dies_at -= 1
            if self.dies_at == 0:
                raise KeyboardInterrupt
        return super().commit(writes, **more)


@pytest.fixture
def world() -> World:
    clock = ManualClock()
    world = World(documents=SlowStore(clock), clock=clock)
    for uid in SMALL:
        spend(world, uid, 3)
    spend(world, GIANT, ENTRIES)
    return world


def spend(world: World, uid: Uid, entries: int) -> None:
    seq = world.ledger.balance(uid).seq
    world.ledger.execute(uid, grant(f"g{seq}", 10**9))
    world.ledger.execute_all(uid, [charge(f"c{seq}-{number}", 1) for number in range(entries - 1)])


def night(world: World, cursor: str = "", large_entries: int = 1_000, ledger: Ledger | None = None) -> JobRun:
    run, ledger = JobRun(cursor, world.clock, RUN_SECONDS), ledger or world.ledger
    watch = LedgerWatch(world.documents, ledger, world.relay, world.alerts, world.clock)
    AuditSweep(world.documents, ledger, watch, large_entries).audit(run)
    return run


def lost(world: World, cursor: str = "") -> JobRun:
    run = JobRun(cursor, world.clock, RUN_SECONDS)
    watch = LedgerWatch(world.documents, world.ledger, world.relay, world.alerts, world.clock)
    AuditSweep(world.documents, world.ledger, watch).audit_lost(run)
    return run


def audited(world: World, uid: Uid) -> int:
    return AuditPositions(world.documents, KEYS, "demo-test").read(uid).position.account.seq


def test_a_giant_passes_over_several_nights_and_nobody_behind_it_waits(world):
    cursor, seen = "", []
    for number in range(1, 5):
        cursor = night(world, cursor).cursor
        seen.append(audited(world, GIANT))

        assert [audited(world, uid) for uid in SMALL] == [3 * number] * len(SMALL)
        for uid in SMALL:
            spend(world, uid, 3)

    assert 0 < seen[0] < seen[1] < ENTRIES
    assert seen[-1] == ENTRIES
    assert world.alerts.raised == []


def test_a_giant_passes_although_its_worker_dies_every_night(world):
    for number in range(1, 8):
        world.documents.dies_at = 2
        with suppress(KeyboardInterrupt):
            night(world)

        assert [audited(world, uid) for uid in SMALL] == [3 * number] * len(SMALL)
        for uid in SMALL:
            spend(world, uid, 3)

    assert audited(world, GIANT) == ENTRIES


def test_a_night_too_short_for_all_large_accounts_is_followed_by_one_for_the_others():
    clock = ManualClock()
    store = SlowStore(clock)
    world = World(documents=store, clock=clock)
    uids = [Uid(f"large{number:02d}") for number in range(30)]
    for uid in uids:
        spend(world, uid, 3)
    store.position_seconds = 10

    cursor, done = "", []
    for _ in range(8):
        cursor = night(world, cursor, large_entries=2).cursor
        done.append(sum(world.documents.get_all([position_path(uid)]) != [None] for uid in uids))
        if cursor == "":
            break

    assert done[0] < 30
    assert done[-1] == 30


def test_an_entry_by_an_unknown_key_freezes_nobody(world):
    """A key that is not known here yet, or was removed by mistake, is no tampering."""
    alone = KeyRing((SigningKey(kid="newer", seed=bytes([9] * 32)),))
    ledger = Ledger(world.documents, world.clock, alone, ledger_id="demo-test", hold_lifetime_seconds=900)

    night(world, ledger=ledger)

    assert {alert.event for alert in world.alerts.raised} == {"account_not_audited"}
    assert {alert.fields["reason"] for alert in world.alerts.raised} == {"unknown_key"}
    assert {world.ledger.balance(uid).status for uid in SMALL} == {"open"}


def test_accounts_beyond_the_first_are_logged_when_none_can_be_audited(capsys):
    world = World()
    for number in range(ALERTS_MAX + 5):
        world.ledger.execute(Uid(f"u{number}"), grant("g", 5))
    alone = KeyRing((SigningKey(kid="newer", seed=bytes([9] * 32)),))
    ledger = Ledger(world.documents, world.clock, alone, ledger_id="demo-test", hold_lifetime_seconds=900)

    night(world, ledger=ledger)

    assert len(world.alerts.raised) == ALERTS_MAX
    assert capsys.readouterr().out.count('"event": "account_not_audited"') == 5


def test_a_finding_in_a_giant_freezes_it_and_holds_up_nobody(world):
    world.documents.commit([Patch(f"accounts/{GIANT}/entries/000000000700", {"hash": "0" * 64})])

    night(world)

    assert [(alert.fields["uid"], alert.fields["seq"], alert.fields["rule"]) for alert in world.alerts.raised] == [
        (GIANT, 700, "hash")
    ]
    assert world.ledger.balance(GIANT).status == "frozen"
    assert [audited(world, uid) for uid in SMALL] == [3] * len(SMALL)


def test_accounts_of_a_newer_form_fail_alone():
    world = World()
    for uid in SMALL:
        spend(world, uid, 3)
    world.documents.commit([Patch(f"accounts/{SMALL[0]}", {SCHEMA_VERSION: 99})])
    versioned = VersionedDocuments(world.documents, SCHEMAS)
    ledger = ledger_on(versioned, world.clock, world.alerts)
    watch = LedgerWatch(versioned, ledger, world.relay, world.alerts, world.clock)
    run = JobRun("", world.clock, RUN_SECONDS)

    AuditSweep(versioned, ledger, watch).audit(run)

    assert (run.done, run.cursor) == (len(SMALL), "")
    assert [(each.event, each.fields["reason"]) for each in world.alerts.raised] == [
        ("account_not_audited", "schema_unknown")
    ]


@pytest.mark.parametrize(
    ("left", "finding"),
    [
        ("/entries/", (0, "account")),
        ("/entries/000000000003", (1, "sequence")),
        ("/operations/", (0, "account")),
        ("/relay/", (1, "sequence")),
        ("/outbox/", (1, "sequence")),
        ("/audited/", (1, "sequence")),
        ("/usage/", (0, "account")),
    ],
)
def test_account_whose_document_is_gone_is_found_by_any_other_document(left, finding):
    world = World()
    for uid in SMALL:
        spend(world, uid, 3)
        world.relay.relay(uid)
    night(world)
    gone = [path for path in world.documents._documents if path.startswith("accounts/a") and left not in path]
    world.documents.commit([Delete(path) for path in gone])

    run = lost(world)

    assert [(each.fields["uid"], each.fields["seq"], each.fields["rule"]) for each in world.alerts.raised] == [
        ("a", *finding)
    ]
    assert (run.done, run.cursor) == (1, "")
    assert "accounts/a" not in world.documents._documents, "nothing is written into a lost account"


def test_listing_of_accounts_begins_again_when_its_place_is_forgotten(world, monkeypatch):
    def refuse(collection, limit, token=""):
        raise InvalidToken

    monkeypatch.setattr(world.documents, "listed", refuse)

    assert lost(world, "a token of last week").cursor == ""

"""The minute's job of the log: what it writes, how soon, and that old accounts and gone ones are found."""

from itertools import pairwise

import pytest

from shared.kernel.clock import DAY, MINUTE, SECOND
from shared.kernel.documents import Delete, Document, Patch, Put
from shared.kernel.ids import Uid
from shared.kernel.schemas import SCHEMA_VERSION
from shared.ledger.account_documents import account_path
from shared.ledger.document_paths import entry_path
from shared.ledger.log.head import HEAD_PATH
from shared.ledger.log.position import position_path
from shared.ledger.log.sequencer import Sequencer
from shared.ledger.log.typed_leaves import queue_leaf, read_leaf
from shared.ledger.log.waiting import place_of
from shared.ledger.markers import LOG, RELAY, is_waiting, marker_path
from shared.platform.versioned.documents import VersionedDocuments
from shared.sagas.accounts.log_sweep import LogSweep
from shared.sagas.engine.jobs import JobRun
from tests.sequencing.counting import SHAPES, written
from tests.support.ledgers import UID, World, charge, grant, ledger_on
from tests.support.sequencing import LogWorld, WriteCounting, check_log, positions, users

ADA, BEN = Uid("ada"), Uid("ben")


@pytest.fixture
def world() -> LogWorld:
    """A log whose first walk is over."""
    world = LogWorld()
    world.minute()
    world.minute()
    return world


def waits(world, uid):
    return is_waiting(world.store.get(marker_path(uid)).data, LOG)


def test_entries_of_the_ledger_reach_the_log_with_the_minute():
    world = World()
    for number in range(5):
        world.ledger.execute(UID, grant(f"g{number}", 10))
        world.ledger.execute(UID, charge(f"c{number}", 3))
    log = LogWorld(store=world.documents, clock=world.clock)

    assert log.minute() == 10
    assert check_log(world.documents) == 10


def test_marker_is_cleared_in_the_minute_after_the_last_entry(world):
    world.mill.grow([ADA], 2)

    world.minute()
    is_waiting_after_one = waits(world, ADA)
    world.minute()

    assert (is_waiting_after_one, waits(world, ADA)) == (True, False)


def test_log_clears_a_marker_after_the_relay(world):
    world.mill.grow([ADA], 2)
    world.store.commit([Patch(marker_path(ADA), {RELAY: 1})])
    for _ in range(3):
        world.minute()
    is_waiting_for_the_relay = waits(world, ADA)
    world.store.commit([Patch(marker_path(ADA), {RELAY: None})])
    world.minute()

    assert (is_waiting_for_the_relay, waits(world, ADA)) == (True, False)


def test_minute_without_news_reads_once_and_writes_nothing(world):
    world.documents.calls = world.documents.writes = 0

    world.minute()

    assert (world.documents.calls, world.documents.writes) == (1, 0)


@pytest.mark.parametrize("per_visit", SHAPES)
def test_writes_per_thousand_entries_are_few_and_flat(per_visit):
    counts = list(written(per_visit, thousands=3))

    assert max(counts) <= SHAPES[per_visit][1]
    assert max(counts) - min(counts) <= 3, "some thousands have a tile, or move a day and a month of figures"


def test_run_commits_the_head_once_a_second_at_most(world):
    world.mill.grow(users(450), 1)

    world.minute()

    commits = world.documents.head_commits
    assert len(commits) == 3
    assert all(after - before >= SECOND for before, after in pairwise(commits))


def test_entry_that_ends_a_call_is_logged_within_two_minutes_under_load(world):
    uids, lags = users(1_500), []
    for minute in range(4):
        begun = world.clock.now()
        for number, uid in enumerate(uids):
            if (number + minute) % 3 == 0:
                world.mill.grow([uid], 2)
        told = {uid: world.clock.now() for uid in uids if world.mill.heads.get(uid, (0, ""))[0]}
        world.clock.advance(MINUTE - (world.clock.now() - begun))
        world.minute()
        known = positions(world.store)
        late = [uid for uid in told if known[uid] < world.mill.heads[uid][0]]
        lags += [world.clock.now() - at for at in told.values()]
        assert late == []

    assert sorted(lags)[len(lags) * 99 // 100] <= 2 * MINUTE


def test_run_that_ends_early_leaves_its_place_to_the_next(world):
    uids = users(500)
    world.mill.grow(uids, 1)

    done = [world.minute(seconds=0.5) for _ in range(4)]

    assert done == [400, 100, 0, 0]
    assert check_log(world.store) == 500


def test_news_that_come_before_the_clearing_stay(world):
    world.mill.grow([ADA], 2)
    world.minute()
    world.mill.grow([ADA], 1)
    world.minute()

    assert waits(world, ADA)
    assert check_log(world.store) == 3


# ── what no marker tells of ──────────────────────────────────────────────────────────────────────────────────────────


def test_accounts_from_before_the_log_get_in_from_their_first_entry():
    world, uids = LogWorld(), users(130)
    world.mill.grow(uids, 3, is_told=False)

    done = [world.minute(), world.minute()]

    assert done == [390, 0]
    assert check_log(world.store) == 390


def test_large_old_account_gets_in_over_many_runs_beside_new_entries(monkeypatch):
    monkeypatch.setattr("shared.ledger.log.sequencer.ENTRIES_MAX", 100)
    monkeypatch.setattr("shared.ledger.log.sequencer.ENTRIES_PER_VISIT", 20)
    world = LogWorld()
    world.mill.grow([Uid("old")], 700, is_told=False)
    for _ in range(6):
        world.mill.grow(users(10), 2)
        world.minute(seconds=2)
        assert all(positions(world.store)[uid] == world.mill.heads[uid][0] for uid in users(10))

    assert positions(world.store)["old"] == 700
    assert check_log(world.store) == 820


def test_entry_without_a_marker_is_found_by_the_walk_of_the_day(world):
    world.mill.grow([ADA], 2)
    world.minute()
    world.mill.grow([ADA], 1, is_told=False)

    world.minute()
    before = positions(world.store)["ada"]
    world.clock.advance(DAY)
    world.minute()

    assert (before, positions(world.store)["ada"]) == (2, 3)


def test_account_rolled_back_without_news_is_found_by_the_walk_of_the_day(world):
    world.mill.grow([ADA], 3)
    world.minute()
    world.store.commit([Delete(entry_path(ADA, 3)), Put(account_path(ADA), {"seq": 2}), Delete(marker_path(ADA))])
    world.clock.advance(DAY)

    world.minute()

    assert world.alerted() == [("ada", 3, "rollback")]


def test_account_that_is_gone_with_all_traces_is_found_by_the_walk_of_the_day(world):
    world.mill.grow([ADA], 3)
    world.minute()
    traces = [account_path(ADA), marker_path(ADA), *(entry_path(ADA, seq) for seq in (1, 2, 3))]
    world.store.commit([Delete(path) for path in traces])
    world.clock.advance(DAY)

    world.minute()

    assert world.alerted() == [("ada", 1, "rollback")]


def test_marker_of_a_wrong_type_costs_one_visit_and_the_walk_heals(world):
    world.mill.grow([ADA], 3)
    world.minute()
    world.mill.grow([ADA], 1)
    world.store.commit([Patch(marker_path(ADA), {"seq": "4"})])

    world.minute()
    world.clock.advance(DAY)
    world.minute()

    assert positions(world.store)["ada"] == 4
    assert world.alerted() == []


@pytest.mark.parametrize("is_gone", [True, False])
def test_position_put_back_or_deleted_parks_the_account(world, is_gone):
    world.mill.grow([ADA], 3)
    world.minute()
    old = world.store.get(position_path(ADA))
    world.mill.grow([ADA], 2)
    world.minute()
    world.minute()
    world.store.commit([Delete(position_path(ADA)) if is_gone else Put(position_path(ADA), old.data)])
    world.mill.grow([ADA], 1)

    world.minute()

    assert world.alerted() == [("ada", 1 if is_gone else 4, "position")]
    assert positions(world.store)["ada"] == (0 if is_gone else 3)


# ── parked accounts, and a log that is broken ────────────────────────────────────────────────────────────────────────


def test_parked_account_alerts_once_and_then_once_a_day(world):
    world.mill.grow([ADA], 3)
    world.store.commit([Delete(entry_path(ADA, 2))])
    for _ in range(3):
        world.minute()
        world.mill.grow([ADA], 1)
    after_minutes = world.alerted()
    world.clock.advance(DAY)
    world.minute()

    assert after_minutes == [("ada", 2, "sequence")]
    assert world.alerted() == [("ada", 2, "sequence")] * 2


def test_parked_account_is_not_found_again_without_news(world):
    world.mill.grow([ADA], 3)
    world.store.commit([Delete(entry_path(ADA, 2))])
    world.minute()
    world.documents.calls = 0

    world.minute()

    assert world.documents.calls == 1


def test_broken_head_alerts_and_appends_nothing(world):
    world.mill.grow([ADA], 3)
    world.minute()
    world.mill.grow([ADA], 1)
    world.store.commit([Delete(HEAD_PATH)])

    world.minute()

    assert [each.event for each in world.alerts.raised] == ["log_broken"]
    assert world.store.get(HEAD_PATH) is None


def test_typed_leaf_is_logged_with_the_minute(world):
    world.store.commit([queue_leaf("key", "key-1", {"kid": "k"}, world.clock.now())])

    world.minute()
    world.minute()

    leaf = read_leaf(world.store, "key-1")
    assert leaf is not None
    assert leaf.index == 0
    assert check_log(world.store) == 1


def test_many_typed_leaves_are_logged_over_rounds(world):
    world.store.commit([queue_leaf("key", f"key-{number}", {"n": number}, 1) for number in range(45)])

    world.minute()

    assert check_log(world.store) == 45


def test_cursor_of_other_text_is_the_first_cursor(world):
    for text in ("", "x", "[]", '{"place":[1]}', "null"):
        world.cursor = text
        world.minute()
        assert list(world.alerts.raised) == []


def test_ledger_under_load_has_each_entry_once_in_the_log():
    world = World()
    log = LogWorld(store=world.documents, clock=world.clock)
    ledgers = [ledger_on(world.documents, world.clock) for _ in range(2)]
    for number in range(40):
        ledgers[number % 2].execute(Uid(f"u{number % 7}"), grant(f"g{number}", 10))
        if number % 5 == 0:
            log.minute()
    log.minute()

    assert check_log(world.documents) == 40


@pytest.mark.parametrize(("stored", "number"), [("5.5", 6), ("inf", 2**63 - 1), ("1e+300", 2**63 - 1), (7, 7)])
def test_marker_with_a_float_of_a_stranger_has_a_place(stored, number):
    marker = Document(path=marker_path(ADA), data={LOG: stored}, version=1)

    assert place_of(marker) == (number, marker.path)


def test_gone_accounts_beside_a_full_round_stay_within_the_visits(world, monkeypatch):
    gone, quiet, busy = users(60, "gone"), users(50, "quiet"), users(400, "user")
    world.mill.grow([*gone, *quiet], 1)
    world.minute()
    world.minute()
    world.store.commit([Delete(path) for uid in gone for path in (account_path(uid), entry_path(uid, 1))])
    monkeypatch.setattr("shared.ledger.log.sequencer.ENTRIES_MAX", 10)
    world.clock.advance(DAY)
    world.mill.grow(busy, 1)
    world.store.commit([Delete(account_path(uid)) for uid in busy])

    for _ in range(3):
        world.minute()

    assert {uid for uid, _, _ in world.alerted()} == {*gone}


def test_marker_of_an_unknown_form_stops_no_minute():
    world = LogWorld()
    world.mill.grow([ADA], 1)
    world.minute()
    world.store.commit([Patch(marker_path(ADA), {SCHEMA_VERSION: 99})])
    world.documents = WriteCounting(VersionedDocuments(world.store, {}), world.clock)
    world.clock.advance(DAY)
    world.cursor = ""

    assert [world.minute() for _ in range(2)] == [0, 0]


def test_account_whose_entries_cannot_be_checked_is_an_alert_and_holds_up_nobody(world):
    def check(uid, entries, seq, before):
        if uid == ADA:
            raise ZeroDivisionError

    world.mill.grow([ADA, BEN], 2)
    run = JobRun(world.cursor, world.clock, 50.0)
    LogSweep(world.documents, Sequencer(world.documents, check, world.clock), world.alerts, world.clock).sweep(run)

    assert run.done == 2
    left = [each.fields for each in world.alerts.raised if each.event == "log_account_left"]
    assert left
    assert left[0] == {"uid": ADA, "code": "ZeroDivisionError"}


def test_leaf_of_a_stranger_is_an_alert_and_stays_outside(world):
    write = queue_leaf("day", "day-forged", {"day": 1}, world.clock.now())
    world.store.commit([write])
    sequencer = Sequencer(world.documents, lambda *_: None, world.clock, lambda _: False)
    run = JobRun(world.cursor, world.clock, 50.0)
    LogSweep(world.documents, sequencer, world.alerts, world.clock).sweep(run)

    leaf = read_leaf(world.store, "day-forged")
    assert leaf is not None
    assert leaf.index is None
    assert {"leaf": "day-forged", "code": "foreign"} in [each.fields for each in world.alerts.raised]

"""Each entry becomes one leaf, whatever happens to the commits, and an account that does not fit is parked alone."""

import random
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from shared.kernel.documents import Delete, OutcomeUnknown, Patch, Put
from shared.kernel.ids import Uid
from shared.kernel.schemas import SCHEMA_VERSION
from shared.ledger.account_documents import account_path
from shared.ledger.document_paths import entry_path
from shared.ledger.log.head import HEAD_PATH, LogBroken, tile_path
from shared.ledger.log.position import ParkedAt, Run, page_path, position_data, position_path, stored_position
from shared.ledger.log.rounds import Visit
from shared.ledger.log.sequencer import AHEAD_MAX, LogBusy
from shared.ledger.log.typed_leaves import queue_leaf, read_leaf, typed_leaf_path
from shared.ledger.markers import announced_seq, marker_path
from shared.platform.versioned.documents import VersionedDocuments
from tests.support.faults import FaultyDocuments
from tests.support.sequencing import LogWorld, check_log, made_entry, users

ADA, BEN = Uid("ada"), Uid("ben")


def visits(world, *uids):
    """Return the visits of accounts up to the entries that their markers tell of."""
    markers = {uid: world.store.get(marker_path(uid)) for uid in uids}
    return [Visit(uid=uid, seq=announced_seq(marker)) for uid, marker in markers.items()]


def grown(*counts):
    """Return a world whose accounts ada and ben got so many entries, each time followed by a round."""
    world = LogWorld()
    for count in counts:
        world.mill.grow([ADA, BEN], count)
        world.sequencer().append(visits(world, ADA, BEN))
    return world


def test_every_entry_is_one_leaf_of_the_naive_tree():
    world = grown(1, 2, 200, 90)

    assert check_log(world.store) == 586


def test_round_of_known_accounts_writes_nothing():
    world = grown(3)
    writes = world.documents.writes

    report = world.sequencer().append(visits(world, ADA, BEN))

    assert report.current == {ADA, BEN}
    assert world.documents.writes == writes


@pytest.fixture
def small_rounds(monkeypatch):
    """Rounds of 300 entries, of which an account gets 20 if there are many."""
    monkeypatch.setattr("shared.ledger.log.sequencer.ENTRIES_MAX", 300)
    monkeypatch.setattr("shared.ledger.log.sequencer.ENTRIES_PER_VISIT", 20)


@pytest.mark.usefixtures("small_rounds")
def test_large_account_gets_in_over_rounds_of_bounded_size():
    world = LogWorld()
    world.mill.grow([ADA], 610)

    reports = [world.sequencer().append(visits(world, ADA)) for _ in range(4)]

    assert [report.entries for report in reports] == [300, 300, 10, 0]
    assert [bool(report.rest) for report in reports] == [True, True, False, False]
    assert stored_position(ADA, world.store.get(position_path(ADA))).runs == (Run(1, 0),)


@pytest.mark.usefixtures("small_rounds")
def test_visits_beyond_the_entries_of_a_round_stay_for_the_next():
    world, uids = LogWorld(), users(20)
    world.mill.grow(uids, 25)

    first = world.sequencer().append(visits(world, *uids))
    second = world.sequencer().append(first.rest)
    third = world.sequencer().append(second.rest)

    assert (first.entries, second.entries, third.entries) == (300, 175, 25)
    assert third.rest == ()
    assert check_log(world.store) == 500


@pytest.mark.parametrize("when", ["before", "after"])
def test_unclear_commit_appends_once(when):
    world = grown(3)
    world.mill.grow([ADA], 2)
    faulty = FaultyDocuments(world.store, at=1, when=when, error=OutcomeUnknown())

    world.sequencer(faulty).append(visits(world, ADA))

    assert check_log(world.store) == 8


def test_store_without_clear_answers_ends_the_round_as_busy():
    class Silent(FaultyDocuments):
        def commit(self, writes, **_options):
            raise OutcomeUnknown

    world = LogWorld()
    world.mill.grow([ADA], 1)

    with pytest.raises(LogBusy):
        world.sequencer(Silent(world.store)).append(visits(world, ADA))


class Flaky(FaultyDocuments):
    """Documents whose commits often end unclear, done or not."""

    def __init__(self, inner, seed):
        super().__init__(inner)
        self._chosen = random.Random(seed)

    def commit(self, writes, **_options):
        fate = self._chosen.random()
        if fate < 0.15:
            raise OutcomeUnknown
        versions = super().commit(writes)
        if fate > 0.85:
            raise OutcomeUnknown
        return versions


def test_three_sequencers_append_each_entry_once_through_unclear_commits():
    world, uids = LogWorld(), users(40)
    world.mill.grow(uids, 3)

    def work(seed):
        chosen = random.Random(seed)
        for _ in range(25):
            with suppress(LogBusy):
                world.sequencer(Flaky(world.store, seed)).append(visits(world, *chosen.sample(uids, 10)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        world.mill.grow(random.Random(9).sample(uids, 10), 2)
    for thread in threads:
        thread.join()
    world.sequencer().append(visits(world, *uids))

    assert check_log(world.store) == 40 * 3 + 20 * 10 * 2


def test_position_newer_than_the_head_as_read_begins_again():
    world = grown(2)
    world.mill.grow([ADA, BEN], 2)

    class Overtaken(FaultyDocuments):
        is_over = False

        def get_all(self, paths):
            if not self.is_over:
                Overtaken.is_over = True
                world.sequencer(world.store).append(visits(world, ADA))
            return super().get_all(paths)

    world.sequencer(Overtaken(world.store)).append(visits(world, ADA, BEN))

    assert check_log(world.store) == 8


# ── what does not fit ────────────────────────────────────────────────────────────────────────────────────────────────


def edited(world, seq, **changes):
    """Store entry `seq` of ada in another form."""
    world.store.commit([Patch(entry_path(ADA, seq), changes)])


def rewritten(world, first, last, prev=None):
    """Store other entries `first` to `last`, signed with the live key, behind the entry before or `prev`."""
    body = world.store.get(entry_path(ADA, first)).data["body"]
    before = prev or body.split('"prev":"')[1][:64]
    for seq in range(first, last + 1):
        entry = made_entry(ADA, seq, before, world.clock.now(), op="op_forged")
        world.mill.heads[ADA] = (seq - 1, before)
        world.store.commit([world.mill.entry_write(ADA, op="op_forged")])
        before = entry.hash


def deleted(world, *seqs):
    world.store.commit([Delete(entry_path(ADA, seq)) for seq in seqs])


FAULTS = {
    "body edited": (lambda world: edited(world, 6, body="{}"), (6, "canonical")),
    "body of another seq": (
        lambda world: edited(world, 6, body=world.store.get(entry_path(ADA, 5)).data["body"]),
        (6, "identity"),
    ),
    "signature edited": (lambda world: edited(world, 7, signature=bytes(64)), (7, "signature")),
    "kind edited": (lambda world: edited(world, 7, kind="grant"), (7, "kind")),
    "poisoned types": (lambda world: edited(world, 6, body=7, signature=[1]), (6, "canonical")),
    "new entry missing": (lambda world: deleted(world, 7), (7, "sequence")),
    "last entry missing": (lambda world: deleted(world, 8), (8, "sequence")),
    "all entries missing": (lambda world: deleted(world, *range(1, 9)), (6, "sequence")),
    "logged entries rewritten with a live key": (lambda world: rewritten(world, 4, 8), (6, "link")),
    "new entries behind another one": (lambda world: rewritten(world, 6, 8, prev="ab" * 32), (6, "link")),
}


@pytest.mark.parametrize(("harm", "where"), FAULTS.values(), ids=FAULTS)
def test_account_that_does_not_fit_is_parked_and_the_log_goes_on(harm, where):
    world = grown(5)
    world.mill.grow([ADA, BEN], 3)
    harm(world)

    report = world.sequencer().append([Visit(uid=ADA, seq=8), Visit(uid=BEN, seq=8)])

    assert report.faults == {ADA: ParkedAt(seq=where[0], rule=where[1])}
    assert report.moved == {BEN}
    assert check_log_size(world) == 13


def check_log_size(world):
    return world.sequencer().append([Visit(uid=BEN, seq=0)]).size


def test_account_rolled_back_below_the_log_is_parked():
    world = grown(5)
    deleted(world, 4, 5)

    report = world.sequencer().append([Visit(uid=ADA, seq=3)])

    assert report.faults == {ADA: ParkedAt(seq=4, rule="rollback")}


def test_account_rolled_back_and_grown_to_the_same_length_is_parked():
    world = grown(5)
    rewritten(world, 4, 5)

    report = world.sequencer().append([Visit(uid=ADA, seq=5)])

    assert report.faults == {ADA: ParkedAt(seq=5, rule="rollback")}


def test_parked_account_costs_no_entries_at_its_next_visits():
    world = grown(5)
    deleted(world, 5)
    world.sequencer().append([Visit(uid=ADA, seq=5)])
    world.documents.calls = 0

    report = world.sequencer().append([Visit(uid=ADA, seq=900)])

    assert report.parked == {ADA: ParkedAt(seq=5, rule="rollback")}
    assert (report.is_committed, world.documents.calls) == (False, 2)


def test_marker_older_than_the_log_is_no_rollback():
    world = grown(5)

    assert world.sequencer().append([Visit(uid=ADA, seq=2)]).current == {ADA}


@pytest.mark.parametrize("state", [None, 7, {}, {"seq": 1}, {"seq": 5, "hash": "", "runs": b""}, {"seq": -1}])
def test_broken_position_is_a_fault_and_stays_as_it_is(state):
    world = grown(5)
    world.store.commit([Patch(position_path(ADA), {"state": state})])
    world.mill.grow([ADA, BEN], 1)

    report = world.sequencer().append(visits(world, ADA, BEN))

    assert [fault.rule for fault in report.faults.values()] == ["position"]
    assert report.moved == {BEN}
    assert world.store.get(position_path(ADA)).data["state"] == state


def test_position_with_another_hash_parks_the_account():
    world = grown(5)
    state = world.store.get(position_path(ADA)).data["state"]
    world.store.commit([Patch(position_path(ADA), {"state": {**state, "hash": "ab" * 32}})])
    world.mill.grow([ADA], 1)

    assert world.sequencer().append(visits(world, ADA)).faults == {ADA: ParkedAt(seq=6, rule="link")}


# ── the head ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_missing_head_is_refused_once_the_log_has_begun():
    world = grown(1)
    world.store.commit([Delete(HEAD_PATH)])

    with pytest.raises(LogBroken, match="missing"):
        world.sequencer().append(visits(world, ADA))


def test_missing_head_and_positions_are_refused_by_a_tile():
    world = grown(200)
    world.store.commit([Delete(HEAD_PATH), Delete(position_path(ADA)), Delete(position_path(BEN))])

    with pytest.raises(LogBroken, match="missing"):
        world.sequencer().append(visits(world, ADA))


def rolled_back(world, count):
    """Grow the log by so many entries of each account, and roll the head back."""
    old = world.store.get(HEAD_PATH)
    world.mill.grow([ADA, BEN], count)
    world.sequencer().append(visits(world, ADA, BEN))
    world.store.commit([Put(HEAD_PATH, old.data)])


@pytest.mark.parametrize("index", [2**62, 2**63 - 1, AHEAD_MAX + 7])
def test_position_far_beyond_the_head_parks_its_account_alone(index):
    world = grown(3)
    position = stored_position(ADA, world.store.get(position_path(ADA)))
    runs = (*position.runs[:-1], Run(position.runs[-1].seq, index))
    world.store.commit([Put(position_path(ADA), position_data(replace(position, runs=runs)))])
    world.mill.grow([ADA, BEN], 2)

    report = world.sequencer().append(visits(world, ADA, BEN))

    assert report.faults == {ADA: ParkedAt(seq=0, rule="position")}
    assert report.moved == {BEN}


def test_head_behind_a_position_is_refused():
    world = grown(5)
    rolled_back(world, 2)
    world.mill.grow([ADA], 1)

    with pytest.raises(LogBroken, match="rolled back"):
        world.sequencer().append(visits(world, ADA))


def test_head_behind_its_tiles_is_refused():
    world = grown(100)
    rolled_back(world, 50)
    world.mill.grow([Uid("new")], 90)

    with pytest.raises(LogBroken, match="rolled back"):
        world.sequencer().append(visits(world, Uid("new")))
    assert world.store.get(tile_path(0, 0)) is not None


def test_edited_head_is_refused():
    world = grown(5)
    tree = world.store.get(HEAD_PATH).data["tree"]
    world.store.commit([Patch(HEAD_PATH, {"tree": {**tree, "root": bytes(32)}})])

    with pytest.raises(LogBroken, match="root"):
        world.sequencer().append(visits(world, ADA))


# ── runs and typed leaves ────────────────────────────────────────────────────────────────────────────────────────────


def test_runs_of_many_visits_move_to_pages_and_stay_found(monkeypatch):
    monkeypatch.setattr("shared.ledger.log.rounds.RUNS_MAX", 8)
    monkeypatch.setattr("shared.ledger.log.rounds.PAGE_RUNS_MAX", 20)

    world = grown(*[1] * 60)

    position = stored_position(ADA, world.store.get(position_path(ADA)))
    assert len(position.runs) <= 8
    assert len(position.pages) == 4
    assert check_log(world.store) == 120


def test_typed_leaf_is_put_into_the_log_once_and_knows_its_index():
    world = grown(3)
    world.store.commit([queue_leaf("day", "day-2026-12-01", {"day": "2026-12-01"}, world.clock.now())])
    path = typed_leaf_path("day-2026-12-01")

    for _ in range(3):
        world.sequencer().append(visits(world, ADA), [path])

    leaf = read_leaf(world.store, "day-2026-12-01")
    assert leaf is not None
    assert (leaf.index, leaf.kind, leaf.body) == (6, "day", {"day": "2026-12-01"})
    assert check_log(world.store) == 7


def test_broken_typed_leaf_holds_up_nobody():
    world = grown(3)
    world.store.commit([Put(typed_leaf_path("bad"), {"leaf": b"ics-day-v1\n{", "log": 1})])
    world.mill.grow([ADA], 1)

    world.sequencer().append(visits(world, ADA), [typed_leaf_path("bad")])

    assert world.sequencer().append(visits(world, ADA)).size == 7


def test_unknown_key_is_tried_again_and_never_parked():
    world = grown(2)
    world.store.commit([world.mill.entry_write(ADA, kid="next")])
    world.store.commit([Put(account_path(ADA), {"seq": 3})])

    report = world.sequencer().append([Visit(uid=ADA, seq=3), Visit(uid=BEN, seq=2)])

    assert report.faults == {}
    assert report.current == {BEN}


def test_page_of_a_stranger_is_overwritten_and_holds_up_nobody(monkeypatch):
    monkeypatch.setattr("shared.ledger.log.rounds.RUNS_MAX", 8)
    world = grown(1)
    world.store.commit([Put(page_path(ADA, 0), {"state": {"runs": b"x" * 16}})])

    for _ in range(10):
        world.mill.grow([ADA, BEN], 1)
        world.sequencer().append(visits(world, ADA, BEN))

    assert check_log(world.store) == 22


def test_entry_of_an_unknown_form_holds_up_its_account_alone():
    world = grown(2)
    world.mill.grow([ADA, BEN], 1)
    world.store.commit([Patch(entry_path(ADA, 3), {SCHEMA_VERSION: 99})])

    report = world.sequencer(VersionedDocuments(world.store, {})).append(visits(world, ADA, BEN))

    assert (report.moved, report.faults) == ({BEN}, {})


def test_typed_leaf_of_an_unknown_form_holds_up_nobody():
    world = grown(2)
    world.mill.grow([ADA], 1)
    world.store.commit([Put(typed_leaf_path("new"), {"leaf": b"", "log": 1, SCHEMA_VERSION: 99})])

    report = world.sequencer(VersionedDocuments(world.store, {})).append(visits(world, ADA), [typed_leaf_path("new")])

    assert report.moved == {ADA}


WRONG = [{"posted": True}, {"held": -1}, {"debt": "0"}, {"postings": 5}, {"postings": [{"from": 1, "to": "x"}]}]


@pytest.mark.parametrize("told", WRONG, ids=str)
def test_signed_entry_without_sums_parks_its_account_and_spoils_no_books(told):
    world = grown(2)
    books = world.store.get(HEAD_PATH).data["books"]
    world.store.commit([world.mill.entry_write(ADA), world.mill.entry_write(ADA, **told)])
    world.mill.grow([BEN], 1)

    report = world.sequencer().append([Visit(uid=ADA, seq=4), *visits(world, BEN)])

    assert report.faults == {ADA: ParkedAt(seq=4, rule="canonical")}
    assert report.moved == {BEN}
    assert world.store.get(HEAD_PATH).data["books"] == books

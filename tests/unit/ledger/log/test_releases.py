"""Release of a parked account: what came back is taken in, what is lost is named, and a fork is accepted by a word."""

import pytest

from shared.kernel.documents import Create, Delete, Put
from shared.kernel.ids import Uid
from shared.ledger.document_paths import entry_path
from shared.ledger.errors import IntegrityFailed
from shared.ledger.log.position import position_path
from shared.ledger.log.releases import AccountRelease, ForkFound, release_account
from shared.ledger.markers import marker_path
from tests.support.sequencing import LogWorld, check_log, positions

ADA = Uid("ada")


def released(world, **how):
    return release_account(world.store, ADA, world.clock.now(), **how)


def logged(world, *counts):
    """Log so many entries of ada, each time in a minute of their own, behind one of another account."""
    for count in counts:
        world.mill.grow([Uid("aaa"), ADA], count)
        world.minute()
    world.minute()


def rolled_back(world, seq, *, new):
    """Roll ada back to entry `seq`, and let her have `new` others, in a chain of their own."""
    last = world.mill.heads[ADA][0]
    before = world.store.get(entry_path(ADA, seq + 1)).data["body"].split('"prev":"')[1][:64]
    world.store.commit([Delete(entry_path(ADA, each)) for each in range(seq + 1, last + 1)])
    world.mill.heads[ADA] = (seq, before)
    world.clock.advance(1)
    world.mill.grow([ADA], new)
    world.minute()


@pytest.fixture
def world():
    world = LogWorld()
    world.minute()
    return world


def test_account_that_is_not_parked_stays_as_it_is(world):
    logged(world, 3)
    writes = world.documents.writes

    assert released(world) == AccountRelease(kept=3, lost=0, was_parked=False)
    assert world.documents.writes == writes


def test_account_whose_entries_came_back_goes_on(world):
    logged(world, 3)
    world.mill.grow([ADA], 2)
    entry = world.store.get(entry_path(ADA, 4))
    world.store.commit([Delete(entry.path)])
    world.minute()
    world.store.commit([Create(entry.path, entry.data)])

    released(world)
    world.minute()

    assert positions(world.store)["ada"] == 5
    assert check_log(world.store) == 8


@pytest.mark.parametrize("seq", [0, 1, 4, 5, 8])
def test_fork_is_named_and_changes_nothing_until_accepted(world, seq):
    logged(world, 2, 3, 4)
    rolled_back(world, seq, new=3)
    before = world.store.get(position_path(ADA))

    with pytest.raises(ForkFound) as found:
        released(world)

    assert found.value.params == {"seq": seq + 1, "last": 9}
    assert world.store.get(position_path(ADA)) == before


@pytest.mark.parametrize("seq", [0, 1, 4, 5, 8])
def test_accepted_fork_goes_on_behind_the_last_shared_entry(world, seq):
    logged(world, 2, 3, 4)
    rolled_back(world, seq, new=3)

    assert released(world, is_fork_accepted=True) == AccountRelease(kept=seq, lost=9 - seq, was_parked=True)
    world.minute()
    world.minute()

    assert positions(world.store)["ada"] == seq + 3
    assert world.minute() == 0


def test_accepted_fork_in_a_page_of_old_runs_goes_on(world, monkeypatch):
    monkeypatch.setattr("shared.ledger.log.rounds.RUNS_MAX", 4)
    monkeypatch.setattr("shared.ledger.log.rounds.PAGE_RUNS_MAX", 6)
    logged(world, *[1] * 30)
    rolled_back(world, 5, new=1)

    assert released(world, is_fork_accepted=True).kept == 5
    logged(world, *[1] * 10)

    assert positions(world.store)["ada"] == 16


def test_position_that_was_put_back_is_parked_again_until_it_is_right(world):
    logged(world, 3)
    old = world.store.get(position_path(ADA))
    logged(world, 2)
    new = world.store.get(position_path(ADA))
    world.store.commit([Put(position_path(ADA), old.data)])
    world.mill.grow([ADA], 1)
    world.minute()

    released(world)
    world.minute()
    assert world.alerted() == [("ada", 4, "position")] * 2

    world.store.commit([Put(position_path(ADA), new.data)])
    world.minute()
    world.mill.grow([ADA], 1)
    world.minute()
    assert check_log(world.store) == 12


def test_broken_position_cannot_be_released(world):
    logged(world, 3)
    world.store.commit([Put(position_path(ADA), {"state": {}})])

    with pytest.raises(IntegrityFailed):
        released(world)


def test_release_without_a_marker_waits_for_the_walk(world):
    logged(world, 3)
    rolled_back(world, 2, new=2)
    world.store.commit([Delete(marker_path(ADA))])

    assert released(world, is_fork_accepted=True).kept == 2

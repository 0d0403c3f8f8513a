"""The random sample of a closed day: accounts verified from their first entry, within a budget."""

import pytest

from shared.kernel.clock import DAY, HOUR
from shared.kernel.documents import Patch
from shared.kernel.ids import Uid
from shared.ledger.account_seals import AccountSeals
from shared.ledger.document_paths import entry_path
from shared.ledger.log.day_store import DayStore
from shared.sagas.accounts import day_sample
from shared.sagas.accounts.day_close import DayClose
from shared.sagas.accounts.day_sample import SampleSweep, stored_sample
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import JobRun
from tests.support.ledgers import KEYS, World, grant

LEDGER = "demo-test"
USERS = tuple(Uid(name) for name in ("ada", "bob", "cy"))
MIDNIGHT = 1_790_035_200_000 + DAY


@pytest.fixture
def world() -> World:
    world = World()
    for uid in USERS:
        world.ledger.execute(uid, grant(uid, 1_000))
    world.clock.advance(MIDNIGHT + HOUR - world.clock.now())
    days = DayStore(world.documents, KEYS, LEDGER)
    watch = LedgerWatch(world.documents, world.ledger, world.relay, world.alerts, world.clock)
    DayClose(world.documents, days, AccountSeals(KEYS, LEDGER), watch, world.alerts, world.clock).close(
        JobRun("", world.clock, 60.0)
    )
    return world


def sample(world: World, cursor: str = "") -> JobRun:
    """Draw the accounts one after another, so that a test needs no luck."""
    turn = iter(range(10_000))
    days = DayStore(world.documents, KEYS, LEDGER)
    watch = LedgerWatch(world.documents, world.ledger, world.relay, world.alerts, world.clock)
    run = JobRun(cursor, world.clock, 60.0, world.alerts)
    draw = lambda accounts: next(turn) % accounts  # noqa: E731  # a fake of one line
    SampleSweep(world.documents, days, world.ledger, watch, world.clock, draw).verify(run)
    return run


def numbers(world: World) -> tuple[int, int, int, int]:
    found = stored_sample(world.documents)
    assert found is not None
    return found.accounts, found.entries, found.findings, found.passed_over


def test_sample_verifies_accounts_from_their_first_entry(world: World) -> None:
    run = sample(world)

    assert numbers(world) == (3, 3, 0, 0)
    assert run.cursor == DayStore(world.documents, KEYS, LEDGER).state().last
    assert world.alerts.raised == []


def test_sample_is_drawn_once_a_day(world: World) -> None:
    cursor = sample(world).cursor

    assert sample(world, cursor).done == 0


def test_sample_finds_an_entry_edited_behind_the_audit(world: World) -> None:
    for uid in USERS:
        world.ledger.audit(uid, JobRun("", world.clock, 60.0).deadline)
    body = str(world.documents.get(entry_path(USERS[1], 1)).data["body"])  # type: ignore[union-attr]
    world.documents.commit([Patch(entry_path(USERS[1], 1), {"body": body.replace("1000", "1001")})])

    sample(world)

    assert numbers(world) == (3, 3, 1, 0)
    assert [each.fields["uid"] for each in world.alerts.raised] == ["bob"]


def test_sample_passes_over_an_account_beyond_the_budget(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_sample, "ENTRIES_MAX", 2)

    sample(world)

    assert numbers(world) == (2, 2, 0, 1)


def test_no_closed_day_has_no_sample() -> None:
    world = World()

    sample(world)

    assert stored_sample(world.documents) is None

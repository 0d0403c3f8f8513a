"""The ledger as others use it: balances, holds, history, export."""

import orjson
import pytest

from shared.kernel.ids import HoldId, LotId
from shared.kernel.settings import SigningKey
from shared.ledger.about import About
from shared.ledger.entries import POSTED_KINDS
from shared.ledger.errors import HoldNotFound
from shared.ledger.history import EntryFilter
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import Verifier
from shared.ledger.ledger import Ledger
from shared.ledger.verify.exports import verify_account
from shared.ledger.views import Balance, EntryView, HoldView, LotView
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import MINUTE, NOW, adjust, capture, charge, freeze, grant, hold, release
from tests.support.ledgers import KEYS, UID, World


@pytest.fixture
def world() -> World:
    return World()


def test_an_account_nobody_opened_is_empty(world):
    empty = Balance(available=0, held=0, debt=0, status="open", seq=0, updated_at=0)

    assert world.ledger.balance(UID) == empty
    assert world.ledger.history(UID, before=None, limit=20).items == ()
    assert world.ledger.verify(UID) == []


def test_a_balance_names_its_lots(world):
    world.ledger.execute(UID, grant("gift", 100, expires_at=NOW + MINUTE))
    world.ledger.execute(UID, hold("h", 40))

    balance = world.ledger.balance(UID)

    lot = LotView(
        id=LotId("gift"),
        source="promo:welcome",
        is_paid=False,
        granted=100,
        available=60,
        held=40,
        expires_at=NOW + MINUTE,
    )
    assert balance == Balance(available=60, held=40, debt=0, status="open", seq=2, updated_at=NOW, lots=(lot,))
    assert balance.total == 100


def test_a_balance_is_that_of_now_even_before_anybody_wrote_it_down(world):
    world.ledger.execute(UID, grant("gift", 100, expires_at=world.clock.now() + MINUTE))
    world.clock.advance(MINUTE)

    assert world.ledger.balance(UID).available == 0


@pytest.mark.parametrize(
    ("end", "status", "captured", "released"),
    [(None, "active", 0, 0), (capture("h", 15), "captured", 15, 25), (release("h"), "released", 0, 40)],
)
def test_a_hold_can_be_looked_at_open_and_resolved(world, end, status, captured, released):
    world.ledger.execute(UID, grant("gift", 100))
    world.ledger.execute(UID, hold("h", 40))
    if end is not None:
        world.ledger.execute(UID, end)

    assert world.ledger.hold(UID, HoldId("h")) == HoldView(
        id=HoldId("h"),
        amount=40,
        captured=captured,
        released=released,
        status=status,
        placed_at=NOW,
        expires_at=NOW + 15 * MINUTE,
        principal="me",
        is_reservation=False,
        about=About(purpose="chat"),
        held=40 if end is None else 0,
    )


def test_a_hold_that_never_was_is_not_found(world):
    with pytest.raises(HoldNotFound):
        world.ledger.hold(UID, HoldId("h"))


def test_history_is_newest_first_and_pages_without_gaps_or_repeats(world):
    ledger = world.ledger
    ledger.execute(UID, grant("gift", 1_000))
    for number in range(250):
        ledger.execute(UID, hold(f"h{number}", 1, operation=f"p{number}"))
        ledger.execute(UID, capture(f"h{number}", 1))
    pages: list[tuple[EntryView, ...]] = []
    before = None
    while not pages or before is not None:
        page = ledger.history(UID, before=before, limit=60)
        pages.append(page.items)
        before = page.before

    seqs = [entry.seq for page in pages for entry in page]
    assert seqs == sorted(seqs, reverse=True)
    assert len(set(seqs)) == 251
    assert {entry.kind for page in pages for entry in page} <= POSTED_KINDS


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6])
def test_a_page_says_where_the_next_begins_and_the_last_one_that_there_is_none(world, limit):
    for number in range(5):
        world.ledger.execute(UID, grant(f"g{number}", 1))
    seqs, befores, before = [], [], None
    while True:
        page = world.ledger.history(UID, before=before, limit=limit)
        seqs.append([entry.seq for entry in page.items])
        befores.append(before := page.before)
        if before is None:
            break

    assert seqs == [list(range(first, max(0, first - limit), -1)) for first in range(5, 0, -limit)]
    assert befores == [*range(5 - limit + 1, 1, -limit), None]


def test_a_search_for_an_unused_key_ends_on_its_first_page(world):
    for number in range(8):
        world.ledger.execute(UID, grant(f"g{number}", 10))

    page = world.ledger.history(UID, before=None, limit=5, wanted=EntryFilter(key="key_none"))

    assert (page.items, page.before) == ((), None)


def test_a_hold_that_is_looked_at_changes_nothing_before_its_time_and_ends_at_it(world):
    world.ledger.execute(UID, grant("gift", 10))
    world.ledger.execute(UID, hold("h", 5, lifetime=1_000))
    world.clock.advance(999)

    before = world.ledger.hold(UID, HoldId("h")).status
    seq = world.ledger.balance(UID).seq
    world.clock.advance(1)

    assert (before, seq) == ("active", 2)
    assert world.ledger.hold(UID, HoldId("h")).status == "expired"
    assert world.ledger.balance(UID).seq == 3


@pytest.mark.parametrize("before", [0, 1, -5])
def test_before_the_first_entry_there_is_nothing(world, before):
    world.ledger.execute(UID, grant("gift", 1))

    assert world.ledger.history(UID, before=before, limit=20).items == ()


def test_an_entry_tells_what_it_moved_and_its_note(world):
    world.ledger.execute(UID, adjust(70, operation="fix"))
    world.ledger.execute(UID, charge(20))

    spent, fixed = world.ledger.history(UID, before=None, limit=2).items

    assert (spent.kind, spent.amount, spent.balance_after, spent.note) == ("charge", -20, 50, None)
    assert (fixed.kind, fixed.amount, fixed.balance_after, fixed.note) == ("adjustment", 70, 70, "why")
    assert fixed.lot == "lot_fix"


def test_history_can_be_of_other_kinds(world):
    world.ledger.execute(UID, grant("gift", 1))
    world.ledger.execute(UID, freeze())

    page = world.ledger.history(UID, before=None, limit=9, kinds=frozenset({"status"}))

    assert [entry.kind for entry in page.items] == ["status"]


def test_no_entry_holds_free_text(world):
    world.ledger.execute(UID, adjust(70))

    assert not any("why" in orjson.loads(line).get("body", "") for line in world.ledger.export(UID))


def test_an_export_is_verified_offline_by_public_keys_alone(world):
    world.ledger.execute(UID, grant("gift", 100))
    world.ledger.execute(UID, charge(30))
    lines = list(world.ledger.export(UID))
    header = orjson.loads(lines[0])

    assert verify_account(lines, Verifier(KEYS.registry)) == []
    assert [orjson.loads(line)["type"] for line in lines] == ["header", "entry", "entry", "account"]
    assert header["keys"] == [dict(key.exported()) for key in KEYS.registry]
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)


@pytest.mark.parametrize("lost", range(4))
def test_an_export_that_lost_a_line_is_found_out(world, lost):
    world.ledger.execute(UID, grant("gift", 100))
    world.ledger.execute(UID, charge(30))
    lines = list(world.ledger.export(UID))

    assert verify_account(lines[:lost] + lines[lost + 1 :], KEYS) != []


@pytest.mark.parametrize("garbage", ["", "{", "null", "[]", '{"type": 7}', '{"type": "entry"}', '{"type": "account"}'])
def test_garbage_is_a_finding_and_never_a_crash(garbage):
    assert {finding.rule for finding in verify_account([garbage], KEYS)} == {"grammar"}
    assert verify_account([*World().ledger.export(UID), garbage], KEYS) != []


def test_a_ledger_signed_by_two_keys_in_turn_is_one_chain():
    documents, clock = MemoryDocuments(), ManualClock()
    old, new = SigningKey(kid="old", seed=bytes(32)), SigningKey(kid="new", seed=bytes(range(32)))

    def ledger(*keys):
        return Ledger(documents, clock, KeyRing(keys), ledger_id="demo-test", hold_lifetime_seconds=900)

    ledger(old).execute(UID, grant("gift", 100))
    ledger(new, old).execute(UID, charge(1))

    assert ledger(new, old).verify(UID) == []
    assert {finding.rule for finding in ledger(new).verify(UID)} == {"unknown_key"}


def test_the_export_of_an_account_in_motion_verifies():
    world = World()
    ledger, other = world.ledger, world.ledger
    ledger.execute(UID, grant("gift", 1_000))
    for _ in range(300):
        ledger.execute(UID, charge(1))
    lines = ledger.export(UID)
    begun = [next(lines), next(lines)]
    other.execute(UID, charge(1))

    assert verify_account([*begun, *lines], KEYS) == []


def test_an_entry_tells_what_was_available_and_what_was_held_after_it(world):
    world.ledger.execute(UID, grant("gift", 10))
    world.ledger.execute(UID, hold("h", 4))

    placed = world.ledger.history(UID, before=None, limit=1, kinds=frozenset({"hold"})).items[0]

    assert (placed.amount, placed.balance_after, placed.held_after) == (0, 6, 4)

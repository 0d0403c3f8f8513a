"""A reader with `GET /v1/credits/history` alone, on accounts where everything happens that can: every row adds up."""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest

from shared.kernel.errors import DomainError
from shared.kernel.ids import LotId, Uid
from shared.kernel.money import format_credits
from shared.ledger.about import PURPOSES
from shared.ledger.account import NOTHING, Account
from shared.ledger.books import merged
from shared.ledger.commands import Command
from shared.ledger.entries import draft_of
from shared.ledger.fold import apply
from tests.api.world import Person, World
from tests.support import books

ACCOUNTS = int(os.environ.get("ACCOUNTS", "40"))
COMMANDS = 60
LOTS = [f"lot{number}" for number in range(8)]
HOLDS = [f"hold{number}" for number in range(8)]
DISPUTES = ["dispute0", "dispute1"]
ABOUTS = [
    (),
    (("purpose", "purchase"), ("ref", "payment:pay_1")),
    (("key", "key_1"), ("model", "gpt-4o-mini"), ("purpose", "openai"), ("ref", "call:ans_1")),
    (("model", "gpt-4o-mini"), ("purpose", "chat"), ("ref", "message:msg_1")),
]

Row = Mapping[str, Any]


def commands(dice: random.Random, now: int) -> Mapping[str, Callable[[], Command]]:
    amount, lot, name = dice.randrange(0, 120), dice.choice(LOTS), dice.choice(HOLDS)
    life = dice.choice([None, dice.randrange(0, 60_000)])
    more: dict[str, Any] = {"about": dice.choice(ABOUTS)}
    expires_at = None if life is None else now + life
    return {
        "grant": lambda: books.grant(lot, amount, expires_at=expires_at, source=dice.choice(SOURCES), **more),
        "grant_disputed": lambda: books.grant(lot, amount, suspension=dice.choice(DISPUTES), **more),
        "hold": lambda: books.hold(name, amount, lifetime=life or 60_000, is_reservation=dice.random() < 0.3, **more),
        "extend": lambda: books.extend(name, amount, accrued=amount // 2),
        "accrue": lambda: books.accrue(name, amount),
        "capture": lambda: books.capture(name, amount, is_final=dice.random() < 0.5, usage=(("input_tokens", 3),)),
        "release": lambda: books.release(name),
        "charge": lambda: books.charge(amount, **more),
        "reverse": lambda: books.reverse(lot, amount),
        "restore": lambda: books.restore(lot, amount // 2, into=dice.choice([None, *DISPUTES])),
        "suspend": lambda: books.suspend(dice.choice(DISPUTES), lot),
        "reinstate": lambda: books.reinstate(dice.choice(DISPUTES)),
        "adjust": lambda: books.adjust(amount - 50),
        "freeze": books.freeze,
        "unfreeze": books.unfreeze,
        "expire": books.expire,
    }


SOURCES = ["promo:test", "world:stripe", "refund:paypal"]


def live(world: World, person: Person, seed: int) -> None:
    """Let everything happen to an account, in an order that the seed decides; now and then it is closed."""
    dice, ledger = random.Random(seed), world.services.credits.ledger
    for _ in range(COMMANDS):
        world.clock.advance(dice.choice([1, 999, 5_000, 60_000]))
        choices = commands(dice, world.clock.now())
        _tried(world, person.uid, choices[dice.choice(sorted(choices))]())
    if dice.random() < 0.1:
        _tried(world, person.uid, books.close())
    assert ledger.verify(person.uid) == []


def _tried(world: World, uid: Uid, command: Command) -> None:
    try:
        world.services.credits.ledger.execute(uid, command)
    except DomainError:
        return


def rows(person: Person, query: str = "") -> Iterator[Row]:
    """Every row that the pages of a history show, newest first."""
    cursor = ""
    while True:
        page = person.get(f"/credits/history?limit=7{query}{cursor}").json
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def owned(row: Row) -> Decimal:
    return Decimal(row["balance_after"]) + Decimal(row["held_after"]) - Decimal(row["debt_after"])


def true_states(world: World, uid: Uid) -> Iterator[tuple[int, str, str, str]]:
    """Seq, available, held and debt after each entry, by the fold of the journal."""
    state, archive = Account(ledger="", uid=uid, head=""), NOTHING
    for body in world.services.credits.ledger.bodies(uid, 1, 10_000):
        state, left = apply(state, draft_of(body), archive)
        archive = merged(archive, left)
        available, held, debt = map(format_credits, (state.available, state.held, state.debt))
        yield state.seq, available, held, debt


@pytest.mark.parametrize("seed", range(ACCOUNTS))
def test_a_reader_rebuilds_every_row_from_the_pages_alone(seed):
    world = World()
    person = world.person()
    live(world, person, seed)

    moved = list(rows(person))[::-1]
    everything = sorted([*moved, *rows(person, "&kind=hold")], key=lambda row: row["seq"])

    for column in (moved, everything):
        total = Decimal(0)
        for row in column:
            total += Decimal(row["amount"])
            assert owned(row) == total, row
    told = [(row["seq"], row["balance_after"], row["held_after"], row["debt_after"]) for row in everything]
    assert told == list(true_states(world, person.uid))
    assert {row["purpose"] for row in everything} <= set(PURPOSES)
    assert all(person.get(f"/credits/entries/{row['seq']}").json == row for row in everything[::9])


def test_random_accounts_have_entries_of_every_kind():
    world, kinds = World(), set[str]()
    for seed in range(12):
        person = world.person()
        live(world, person, seed)
        kinds |= {body["kind"] for body in world.services.credits.ledger.bodies(person.uid, 1, 10_000)}

    assert kinds == {
        "grant", "refund", "charge", "expiry", "reversal", "adjustment", "hold", "extension", "release", "status"
    }  # fmt: skip


def told_of(row: Row) -> tuple[Any, ...]:
    return row["purpose"], row["model"], row["key_id"], row["ref"]


def test_a_charge_tells_what_its_hold_was_placed_for(world, alice):
    told = (("key", "key_1"), ("model", "gpt-4o-mini"), ("purpose", "openai"), ("ref", "call:ans_1"))
    world.services.credits.ledger.execute(alice.uid, books.hold("h", 40, about=told, purpose="chat"))
    world.services.credits.ledger.execute(alice.uid, books.capture("h", 15, usage=(("input_tokens", 12),)))

    charge = alice.get("/credits/history").json["items"][0]

    assert told_of(charge) == ("openai", "gpt-4o-mini", "key_1", {"type": "call", "id": "ans_1"})
    assert (charge["label"], charge["usage"]) == ("API call · gpt-4o-mini", {"input_tokens": 12})


def test_an_entry_of_before_is_explained_by_its_hold(world, alice):
    ledger = world.services.credits.ledger
    ledger.execute(alice.uid, books.hold("h", 40, purpose="image", principal="key:key_1", tags=(("model", "m"),)))
    ledger.execute(alice.uid, books.capture("h", 15))
    ledger.execute(alice.uid, books.hold("r", 40, is_reservation=True, principal=f"user:{alice.uid}"))

    charge = alice.get("/credits/history").json["items"][0]
    [open_] = alice.get("/credits/holds").json["items"]

    assert told_of(charge) == ("image", "m", "key_1", None)
    assert told_of(open_) == ("reservation", None, None, {"type": "reservation", "id": "r"})


@pytest.mark.parametrize(
    ("source", "purpose"), [("promo:x", "bonus"), ("world:stripe", "purchase"), ("refund:y", "refund")]
)
def test_a_grant_of_before_is_explained_by_its_source(world, alice, source, purpose):
    world.services.credits.ledger.execute(alice.uid, books.grant("l", 5, source=source))

    assert alice.get("/credits/history").json["items"][0]["purpose"] == purpose


def test_history_is_filtered_by_object_key_and_time(world, alice):
    ledger = world.services.credits.ledger
    for number in range(4):
        world.clock.advance(60_000)
        told = (("key", f"key_{number % 2}"), ("purpose", "openai"), ("ref", f"call:ans_{number}"))
        ledger.execute(alice.uid, books.charge(10, about=told))
    times = [row["at"] for row in alice.get("/credits/history").json["items"]]

    def seqs(query: str) -> list[int]:
        return [row["seq"] for row in rows(alice, f"&{query}")]

    assert seqs("ref=call:ans_2") == seqs("ref=ans_2") == [4]
    assert seqs("key=key_1") == [5, 3]
    assert seqs(f"from={times[2]}&to={times[1]}") == [4, 3]
    assert seqs("to=2000-01-01") == seqs("from=2999-01-01") == []
    assert seqs(f"from={times[-1][:10]}&key=key_0&ref=call:ans_0") == [2]


@pytest.mark.parametrize(
    "query",
    ["from=yesterday", "to=2026-13-01", "from=2026-11-24T10:00:00", "ref=", "key="],
)
def test_history_refuses_a_filter_that_says_nothing(alice, query):
    assert alice.get(f"/credits/history?{query}").status_code == 422


@pytest.mark.parametrize("seq", ["0", "2", "x", "-1", "00001", "9" * 30])
def test_an_entry_that_is_not_there_is_not_found(alice, seq):
    refused = alice.get(f"/credits/entries/{seq}")

    assert (refused.status_code, refused.json["code"]) == (404, "entry_not_found")


def test_open_holds_are_all_told_the_last_placed_first(world, alice):
    reserved = alice.post("/credits/reserve", {"amount": "4"}).json
    world.clock.advance(1)
    told = (("model", "m"), ("purpose", "chat"), ("ref", "message:msg_1"))
    world.services.credits.ledger.execute(alice.uid, books.hold("h", 40, about=told))
    world.clock.advance(1)
    lot = next(iter(alice.get("/credits/balance").json["lots"]))["id"]
    world.services.credits.ledger.execute(alice.uid, books.suspend("d", LotId(lot), limits=(50,)))

    answer = alice.get("/credits/holds").json

    assert [(item["id"], item["amount"], item["purpose"]) for item in answer["items"]] == [
        ("d", "0.00005", "dispute"),
        ("h", "0.00004", "chat"),
        (reserved["id"], "4", "reservation"),
    ]
    assert answer["items"][0]["expires_at"] is None
    assert answer["items"][2]["ref"] == {"type": "reservation", "id": reserved["id"]}

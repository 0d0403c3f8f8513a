"""The running account of a verifier and the fold that decides: the same state after every entry, the same refusals."""

import random
import time
from copy import deepcopy
from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.kernel.errors import DomainError
from shared.kernel.money import Micro
from shared.ledger.account import Account, check
from shared.ledger.codec import encode_account
from shared.ledger.commands import BudgetClaim, Command
from shared.ledger.entries import draft_of
from shared.ledger.fold import NotApplicable, apply
from shared.ledger.past import MemoryPast
from shared.ledger.rest import LOTS_MAX
from shared.ledger.running_account import RunningAccount
from tests.support import books as ask
from tests.support.books import Books

STEPS = 90
REFUSALS = (NotApplicable, AssertionError, KeyError, TypeError)
PLACES = ["available", "held", "debt", "breakage", "absorbed", "revenue:chat", "promo:welcome"]


def command(books: Books, chance: random.Random) -> Command:
    """Draw a command about the lots and holds that the account has or had."""
    number = chance.randrange(10**6)
    lots = [*books.account.lots, *books.archive.lots, "none"]
    holds = [*books.account.holds, *list(books.archive.holds)[-3:], "none"]
    claims = (
        BudgetClaim(id=f"b{number % 4}", limit=Micro(400), expires_at=chance.choice([None, books.now + 300_000])),
    )
    budgets = chance.choice([(), claims])
    ends = chance.choice([None, books.now + chance.randrange(1, 900_000)])
    return chance.choice(
        [
            lambda: ask.grant(f"l{number}", chance.randrange(1, 100), expires_at=ends, is_paid=chance.random() < 0.5),
            lambda: ask.hold(f"h{number}", chance.randrange(1, 60), budgets=budgets),
            lambda: ask.extend(chance.choice(holds), chance.randrange(1, 20), accrued=chance.randrange(20)),
            lambda: ask.capture(chance.choice(holds), chance.randrange(90), is_final=chance.random() < 0.7),
            lambda: ask.release(chance.choice(holds)),
            lambda: ask.charge(chance.randrange(1, 40), budgets=budgets),
            lambda: ask.reverse(chance.choice(lots), chance.randrange(60)),
            lambda: ask.restore(chance.choice(lots), chance.randrange(30)),
            lambda: ask.suspend(f"s{number % 5}", chance.choice(lots)),
            lambda: ask.reinstate(f"s{number % 5}"),
            lambda: ask.adjust(chance.randrange(1, 20)),
            ask.expire,
            ask.freeze,
            ask.unfreeze,
        ]
    )()


def forged(body: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return the entry with one amount, place, lot or name changed."""
    forged = deepcopy(body)
    posting = chance.choice(forged["postings"]) if forged["postings"] else {}
    part = chance.choice(["amount", "from", "to", "lot", "kind", "hold", "rest"])
    if part == "amount":
        posting["amount"] = chance.choice([-1, 0, 1, posting.get("amount", 0) + 1, 10**9])
    elif part in {"from", "to"}:
        posting[part] = chance.choice(PLACES)
    elif part == "lot":
        posting["lot"] = "another"
    elif part == "kind":
        forged["kind"] = chance.choice(["grant", "hold", "reversal", "charge"])
    elif part == "rest":
        named = [chance.choice(["another", *(each.get("lot", "") for each in forged["postings"])])]
        forged["rest"] = chance.choice([{}, {"lots": named}, {**forged.get("rest", {}), "due_at": 1}])
    elif "hold" in forged:
        forged["hold"] = {**forged["hold"], **chance.choice([{"id": "another"}, {"end": "captured"}])}
    return forged


def folded(account: Account, body: dict[str, Any], books: Books) -> Account | None:
    """Return the state by the fold that decides; None if the entry cannot follow."""
    try:
        after, _ = apply(account, draft_of(body), books.archive)
        check(after)
    except REFUSALS:
        return None
    return replace(after, head="h")


def ran(account: Account, body: dict[str, Any], books: Books) -> Account | None:
    past = MemoryPast(books.archive.lots)
    for hold in books.archive.holds:
        past.is_new_hold(hold)
    running = RunningAccount.of(account, past)
    try:
        running.post(body, "h")
    except REFUSALS:
        return None
    after = running.account()
    assert (running.available, running.held) == (after.available, after.held)
    return after


@pytest.mark.parametrize("lots_max", [LOTS_MAX, 2])
@pytest.mark.parametrize("seed", range(6))
def test_both_folds_agree_about_true_and_forged_entries(seed, lots_max, monkeypatch):
    monkeypatch.setattr("shared.ledger.rest.LOTS_MAX", lots_max)
    chance, books, refused, kinds = random.Random(seed), Books(), 0, set()
    for _ in range(STEPS):
        books.now += chance.randrange(200_000)
        before = books.account
        try:
            decision = books.do(command(books, chance))
        except DomainError:
            continue
        assert encode_account(books.running.account()) == encode_account(books.account), "the text of closed days"
        for body in [orjson.loads(entry.body) for entry in decision.entries][:1]:
            kinds.add(body["kind"])
            for entry in (body, *(forged(body, chance) for _ in range(6))):
                expected = folded(before, entry, books)
                refused += expected is None
                assert ran(before, entry, books) == expected, entry

    assert refused > STEPS // 4
    assert len(kinds) > 5


def turns(first: int, last: int) -> list[dict[str, Any]]:
    """Return the entries of calls that each hold credits of a lot, and end."""
    entries: list[dict[str, Any]] = []
    for number in range(first, last):
        fact = {"id": f"h{number}", "purpose": "chat", "principal": "ada", "reservation": False, "expires_at": 10**9}
        take = {"amount": 2, "lot": "l0"}
        entries += [
            {"kind": "hold", "hold": fact, "postings": [{**take, "from": "available", "to": "held"}]},
            {
                "kind": "charge",
                "hold": {**fact, "end": "captured"},
                "postings": [{**take, "from": "held", "to": "revenue:chat"}],
            },
        ]
    return [{**entry, "at": 1} for entry in entries]


def seconds_for(account: RunningAccount, entries: list[dict[str, Any]]) -> float:
    start = time.process_time()
    for entry in entries:
        account.post(entry, "h")
    return time.process_time() - start


def test_an_entry_costs_the_same_behind_a_long_journal():
    fact = {"id": "l0", "source": "promo:welcome", "priority": 10, "paid": False}
    gift = {"from": "promo:welcome", "to": "available", "amount": 10**9, "lot": "l0"}
    account = RunningAccount.of(Books().account, MemoryPast())
    account.post({"kind": "grant", "at": 1, "lot": fact, "postings": [gift]}, "h")

    early = min(seconds_for(account, turns(number * 300, number * 300 + 300)) for number in range(3))
    seconds_for(account, turns(1_000, 21_000))
    late = min(seconds_for(account, turns(number * 300, number * 300 + 300)) for number in range(100, 103))

    assert late < 3 * early

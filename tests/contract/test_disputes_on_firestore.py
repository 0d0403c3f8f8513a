"""Disputes over an account that is spent from all the while: threads on two instances, one account, on Firestore."""

import itertools
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.documents import Documents
from shared.kernel.errors import IdempotencyMismatch
from shared.kernel.ids import LotId, OperationId
from shared.ledger.account import Account, Archive, Lot, check
from shared.ledger.books import merged
from shared.ledger.commands import Annul, Command
from shared.ledger.entries import draft_of, genesis
from shared.ledger.errors import HoldNotFound, HoldResolved, InsufficientCredits
from shared.ledger.fold import apply
from shared.ledger.ledger import Ledger
from shared.ledger.store import AccountStore
from shared.platform.firestore.documents import connect
from tests.support.books import capture, charge, extend, grant, hold, reinstate, release, restore, reverse, suspend
from tests.support.ledgers import KEYS, UID

LEDGER = "demo-test"
PAYMENTS = ("first", "second")
DISPUTES = 8
SPENDERS = 6
BOUGHT, GIFT = 50_000, 1_000_000
PRIORITY_FIRST = 1
"""What was bought is spent before the gift here, so that every spender wants what is disputed."""
SECONDS_MAX = 300
HALF = 0.5
MAY_BE_TOLD = (InsufficientCredits, HoldNotFound, HoldResolved)
"""That there is not enough, or that the reservation has ended: that is what a dispute does."""


@pytest.fixture
def documents(firestore_emulator, project: str) -> Documents:
    return connect(project)


def instance(documents: Documents) -> Ledger:
    return Ledger(documents, SystemClock(), KEYS, ledger_id=LEDGER, hold_lifetime_seconds=900)


@dataclass(frozen=True)
class Entry:
    """One entry as it is stored, and the account before it."""

    body: Mapping[str, Any]
    before: Account

    @property
    def spent(self) -> set[str]:
        """The lots that were charged."""
        return {posting.get("lot", "") for posting in self.body["postings"] if self.body["kind"] == "charge"}


@dataclass(frozen=True)
class Told:
    """The whole journal, folded and held to the laws entry by entry."""

    entries: Sequence[Entry]
    account: Account
    archive: Archive

    def lot(self, name: str) -> Lot:
        return self.account.lots.get(LotId(name)) or self.archive.lots[LotId(name)]


def told(documents: Documents, ledger: Ledger) -> Told:
    account, archive = Account(ledger=LEDGER, uid=UID, head=genesis(LEDGER, UID)), Archive()
    seq, entries = ledger.balance(UID).seq, list[Entry]()
    for stored in AccountStore(documents, KEYS, LEDGER).entries(UID, 1, seq):
        body = orjson.loads(stored.body)
        entries.append(Entry(body=body, before=account))
        after, left = apply(account, draft_of(body), archive)
        check(after)
        assert (body["posted"], body["held"], body["debt"]) == (after.available + after.held, after.held, after.debt)
        account, archive = replace(after, head=stored.hash), merged(archive, left)
    assert len(entries) == seq
    return Told(entries=entries, account=account, archive=archive)


def both(instances: Sequence[Ledger], command: Command) -> None:
    """A worker and the zombie that it replaced do the same thing at once."""
    with ThreadPoolExecutor(len(instances)) as pool:
        outcomes = [pool.submit(ledger.execute, UID, command) for ledger in instances]
        results = [outcome.result(SECONDS_MAX).receipt for outcome in outcomes]
    assert results == results[:1] * len(results)


def argue(instances: Sequence[Ledger], lot: str, dice: random.Random) -> None:
    """One dispute after the other about what one payment bought; each is lost, won, or withdrawn after a refund."""
    for number in range(DISPUTES):
        dispute, taken = f"{lot}:{number}", dice.randrange(1, BOUGHT)
        open_ = suspend(dispute, lot, operation=f"open:{dispute}")
        end = reinstate(dispute, operation=f"end:{dispute}")
        lost = reverse(lot, taken, operation=f"lost:{dispute}")
        after_all = restore(lot, 0, into=dispute, operation=f"won:{dispute}")
        both(instances, open_)
        threading.Event().wait(dice.uniform(0, 0.05))
        endings: list[list[Command]] = [[end], [lost, after_all, end], [lost, end, replace(after_all, suspension=None)]]
        for command in dice.choice(endings):
            both(instances, command)
        both(instances, open_)  # a zombie's, long after


def spend(ledger: Ledger, dice: random.Random, numbers: Iterator[int], is_over: threading.Event) -> None:
    """Charge, reserve, hold, grow and capture until the disputes are over."""
    while not is_over.is_set():
        name, amount, end = f"h{next(numbers)}", dice.randrange(1, 60), dice.randrange(3)
        held: list[Command] = [
            hold(name, amount, is_reservation=dice.random() < HALF, operation=f"place:{name}"),
            extend(name, dice.randrange(1, 60), operation=f"extend:{name}"),
            (
                release(name, operation=f"end:{name}")
                if end == 0
                else capture(name, amount // end, operation=f"end:{name}")
            ),
        ]
        charged: list[Command] = [charge(amount, operation=f"charge:{name}")]
        for command in dice.choice([charged, held, held]):
            with suppress(*MAY_BE_TOLD):
                ledger.execute(UID, command)


def test_what_is_disputed_is_spent_by_nobody_while_it_is_and_the_laws_hold(documents: Documents):
    instances = [instance(documents), instance(documents)]
    for lot in PAYMENTS:
        instances[0].execute(UID, grant(lot, BOUGHT, priority=PRIORITY_FIRST, is_paid=True, source="world:stripe"))
    instances[0].execute(UID, grant("gift", GIFT))
    is_over, numbers = threading.Event(), itertools.count()

    with ThreadPoolExecutor(SPENDERS + len(PAYMENTS)) as pool:
        spending = [pool.submit(spend, instances[n % 2], random.Random(n), numbers, is_over) for n in range(SPENDERS)]
        arguing = [pool.submit(argue, instances, lot, random.Random(lot)) for lot in PAYMENTS]
        try:
            for dispute in arguing:
                dispute.result(SECONDS_MAX)
        finally:
            is_over.set()
        for spender in spending:
            spender.result(SECONDS_MAX)

    journal = told(documents, instances[0])
    assert [ledger.verify(UID) for ledger in instances] == [[], []]
    disputed = [(entry, open_lots(entry.before)) for entry in journal.entries]
    assert [entry.body for entry, lots in disputed if entry.spent & lots] == []
    assert any(entry.spent for entry, lots in disputed if lots), "somebody spends all the while"
    assert any(":h" in entry.body["op"] for entry in journal.entries), "a hold had some of what came disputed"
    assert all(journal.lot(name).spent for name in PAYMENTS), "what is not disputed is spent"


def open_lots(account: Account) -> set[str]:
    """What the disputes that are open are about."""
    return {name.partition(":")[0] for name in account.holds if name.partition(":")[0] in PAYMENTS}


def test_of_a_command_and_its_annulment_at_once_one_has_its_effect(documents: Documents):
    instances = [instance(documents), instance(documents)]
    instances[0].execute(UID, grant("gift", GIFT))
    names = [OperationId(f"same{number}") for number in range(48)]
    annulled = [Annul(operation=name, fingerprint="annulled") for name in names]
    charged = [charge(1, operation=name) for name in names]
    asked: list[Command] = [*annulled, *charged]
    random.Random(4).shuffle(asked)
    # A busy machine may let one instance win every time: each instance gets commands and annulments.
    charging = {name: instances[number % 2] for number, name in enumerate(names)}

    def is_done(command: Command) -> bool:
        first = charging[command.operation]
        ledger = next(each for each in instances if (each is first) != isinstance(command, Annul))
        try:
            ledger.execute(UID, command)
        except IdempotencyMismatch:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        done = dict(zip(asked, pool.map(is_done, asked), strict=True))

    assert [done[one] + done[other] for one, other in zip(annulled, charged, strict=True)] == [1] * len(names)
    assert 0 < sum(done[command] for command in charged) < len(names)
    assert instances[0].balance(UID).available == GIFT - sum(done[command] for command in charged)
    assert instances[0].verify(UID) == []

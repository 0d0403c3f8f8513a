"""One account without a store: commands decided one after the other, every law checked after each."""

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import orjson

from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.kernel.money import Micro
from shared.ledger.account import Account, Archive, Lot, check
from shared.ledger.books import merged
from shared.ledger.codec import decode_account, decode_hold, decode_lot, encode_account, encode_hold, encode_lot
from shared.ledger.commands import (
    Accrue,
    Adjust,
    Annul,
    CallBound,
    Capture,
    Charge,
    Close,
    Command,
    Expire,
    ExtendHold,
    Freeze,
    Grant,
    PlaceHold,
    Recover,
    Reinstate,
    Release,
    Restore,
    Reverse,
    Suspend,
    Unfreeze,
)
from shared.ledger.decide import Decision
from shared.ledger.entries import body_hash, draft_of, genesis
from shared.ledger.expiry import MuchIsDue
from shared.ledger.fold import apply
from shared.ledger.operation_records import facts_of
from shared.ledger.past import MemoryPast
from shared.ledger.receipts import Receipt
from shared.ledger.running_account import RunningAccount
from tests.support.rests import check_rest, decided, first_expiries

LEDGER = "demo-test"
UID = Uid("ada")
KID = "test-1"
NOW = 1_790_000_000_000
MINUTE = 60_000


class Books:
    """An account and its archive. `do` decides, and holds what was decided to the laws; `rush` only decides."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now
        self.account = Account(ledger=LEDGER, uid=UID, head=genesis(LEDGER, UID))
        self.archive = Archive()
        self.running = RunningAccount.of(self.account, MemoryPast())
        self.bodies: list[dict[str, Any]] = []
        self.totals: Counter[str] = Counter()
        self.flows: dict[str, Counter[str]] = {}

    def do(self, command: Command) -> Decision[Receipt]:
        """Decide and go on from there. A refusal changes nothing."""
        try:
            decision = decided(self.account, self.archive, command, self.now, KID)
        except MuchIsDue:
            self._go_on(first_expiries(self.account, self.archive, self.now, KID))
            return self.do(command)
        self._go_on(decision)
        assert asdict(decision.receipt.after) == self.balance(), "a receipt tells the balance after it"
        return decision

    def _go_on(self, decision: Decision[Receipt]) -> None:
        self._follow(decision)
        assert self.account == decision.account, "the state is the fold of its chain"
        self._check_laws()

    def rush(self, command: Command) -> Decision[Receipt]:
        """Decide and go on, unchecked: for the many steps before the one that matters."""
        try:
            decision = decided(self.account, self.archive, command, self.now, KID)
        except MuchIsDue:
            self._jump(first_expiries(self.account, self.archive, self.now, KID))
            return self.rush(command)
        self._jump(decision)
        return decision

    def _jump(self, decision: Decision[Receipt]) -> None:
        self.account, self.archive = decision.account, merged(self.archive, decision.archive)

    def balance(self) -> dict[str, Any]:
        account = self.account
        return {
            "available": account.available,
            "held": account.held,
            "debt": account.debt,
            "status": account.status,
            "seq": account.seq,
        }

    def said(self, command: Command) -> dict[str, Any]:
        """What the command says beyond the balance."""
        return {k: v for k, v in facts_of(self.do(command).receipt).items() if k not in self.balance()}

    def postings(self) -> list[tuple[Any, ...]]:
        """The postings of the last entry, as (from, to, amount, lot)."""
        return [(p["from"], p["to"], p["amount"], p.get("lot")) for p in self.bodies[-1]["postings"]]

    def kinds(self) -> list[str]:
        return [body["kind"] for body in self.bodies]

    def lot(self, name: str) -> Lot:
        lot = LotId(name)
        return self.account.lots.get(lot) or self.archive.lots[lot]

    def _follow(self, decision: Decision[Receipt]) -> None:
        """The chain, entry by entry, from its own words only."""
        left = Archive()
        for entry in decision.entries:
            body = orjson.loads(entry.body)
            assert (body["seq"], body["prev"]) == (self.account.seq + 1, self.account.head), "entries link"
            assert body["at"] >= self.account.at, "time never runs backwards"
            assert (entry.seq, entry.hash) == (body["seq"], body_hash(entry.body))
            if self.running.head != self.account.head:
                self.running = RunningAccount.of(self.account, MemoryPast(self.archive.lots))
            after, gone = apply(self.account, draft_of(body), self.archive)
            self.account = replace(after, head=entry.hash)
            self.archive, left = merged(self.archive, gone), merged(left, gone)
            self.running.post(body, entry.hash)
            assert self.running.account() == self.account, "both folds come to the same state"
            assert (self.running.available, self.running.held) == (after.available, after.held)
            told = (body["posted"], body["held"], body["debt"])
            assert told == (after.available + after.held, after.held, after.debt)
            self._count(body)
            self.bodies.append(body)
        assert left == decision.archive, "what leaves the state is archived"

    def _count(self, body: dict[str, Any]) -> None:
        for posting in body["postings"]:
            assert posting["amount"] > 0
            self.totals[posting["from"]] -= posting["amount"]
            self.totals[posting["to"]] += posting["amount"]
            if "hold" in body:
                flow = self.flows.setdefault(body["hold"]["id"], Counter())
                flow["in"] += posting["amount"] if posting["to"] == "held" else 0
                flow["out"] += posting["amount"] if posting["from"] == "held" else 0

    def _check_laws(self) -> None:
        account = self.account
        check(account)
        check_rest(account, self.archive)
        assert sum(self.totals.values()) == 0, "postings sum to zero over the platform"
        own = (self.totals["available"], self.totals["held"], -self.totals["debt"])
        assert own == (account.available, account.held, account.debt), "a balance is the sum of its postings"
        assert account.available >= 0
        for lot in (*account.lots.values(), *self.archive.lots.values()):
            assert lot.reversed + lot.owed <= lot.granted, "no more is taken back than was granted"
        for budget in account.budgets.values():
            naming = [hold.amount for hold in account.holds.values() if budget.id in hold.budgets]
            assert budget.held == sum(naming), "a budget holds what its holds hold"
        for hold in self.archive.holds.values():
            assert hold.id not in account.holds, "a hold resolves once"
            flow = self.flows.get(hold.id, Counter())
            assert flow["in"] == flow["out"] == hold.placed, "captured and released is what was held"
        self._check_codec()

    def _check_codec(self) -> None:
        assert decode_account(encode_account(self.account)) == self.account
        for lot in self.archive.lots.values():
            assert decode_lot(orjson.loads(encode_lot(lot))) == lot
        for hold in self.archive.holds.values():
            assert decode_hold(orjson.loads(encode_hold(hold))) == hold


# Commands with the defaults of a test -----------------------------------------------------------------------------


class _Names:
    count = 0

    def next(self) -> OperationId:
        self.count += 1
        return OperationId(f"op_{self.count}")


_names = _Names()


def asked(operation: str | None = None) -> dict[str, Any]:
    name = OperationId(operation) if operation is not None else _names.next()
    return {"operation": name, "fingerprint": "f"}


def grant(lot: str, amount: int, *, operation: str | None = None, **more: Any) -> Grant:
    more = {"source": "promo:welcome", **more}
    return Grant(**asked(operation), amount=Micro(amount), lot=LotId(lot), **more)


def charge(amount: int, *, operation: str | None = None, **more: Any) -> Charge:
    return Charge(**asked(operation), amount=Micro(amount), purpose="chat", **more)


def hold(name: str, amount: int, *, operation: str | None = None, **more: Any) -> PlaceHold:
    more = {"purpose": "chat", "lifetime": 15 * MINUTE, "principal": "me", **more}
    return PlaceHold(**asked(operation), amount=Micro(amount), hold=HoldId(name), **more)


def call(amount: int, *, expected: int, at_most: int, ceiling: int | None = None) -> dict[str, Any]:
    """The amount and bound of a call's hold, of which `expected` is for its input."""
    most = amount - expected + at_most if ceiling is None else ceiling
    bound = CallBound(input_held=Micro(expected), input_at_most=Micro(at_most), at_most=Micro(most))
    return {"amount": amount, "call": bound}


def extend(name: str, amount: int, *, at_least: int = 0, accrued: int = 0, operation: str | None = None) -> ExtendHold:
    return ExtendHold(
        **asked(operation),
        hold=HoldId(name),
        amount=Micro(amount),
        at_least=Micro(at_least),
        accrued=Micro(accrued),
        lifetime=15 * MINUTE,
    )


def accrue(name: str, accrued: int, *, operation: str | None = None) -> Accrue:
    return Accrue(**asked(operation), hold=HoldId(name), accrued=Micro(accrued), lifetime=15 * MINUTE)


def capture(name: str, amount: int, *, operation: str | None = None, **more: Any) -> Capture:
    return Capture(**asked(operation), hold=HoldId(name), amount=Micro(amount), **more)


def release(name: str, *, operation: str | None = None, **more: Any) -> Release:
    return Release(**asked(operation), hold=HoldId(name), **{"is_unused": True, **more})


def reverse(lot: str, target: int, *, operation: str | None = None) -> Reverse:
    return Reverse(**asked(operation), lot=LotId(lot), target=Micro(target))


def restore(lot: str, target: int, *, into: str | None = None, operation: str | None = None) -> Restore:
    suspension = None if into is None else HoldId(into)
    return Restore(**asked(operation), lot=LotId(lot), target=Micro(target), suspension=suspension)


def suspend(name: str, *lots: str, operation: str | None = None, limits: tuple[int, ...] | None = None) -> Suspend:
    most = None if limits is None else tuple(map(Micro, limits))
    return Suspend(**asked(operation), hold=HoldId(name), lots=tuple(LotId(lot) for lot in lots), limits=most)


def reinstate(name: str, *, operation: str | None = None) -> Reinstate:
    return Reinstate(**asked(operation), hold=HoldId(name))


def annul(*, operation: str | None = None) -> Annul:
    return Annul(**asked(operation))


def adjust(amount: int, *, operation: str | None = None) -> Adjust:
    return Adjust(**asked(operation), amount=amount, note="why")


def recover(amount: int, *lots: str, operation: str | None = None) -> Recover:
    return Recover(**asked(operation), amount=Micro(amount), lots=tuple(LotId(lot) for lot in lots))


def freeze() -> Freeze:
    return Freeze(**asked())


def unfreeze() -> Unfreeze:
    return Unfreeze(**asked())


def expire() -> Expire:
    return Expire()


def close(*, operation: str | None = None) -> Close:
    return Close(**asked(operation))

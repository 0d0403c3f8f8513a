"""Transactions of plain-text accounting: one for each entry that moves credits, with the balance behind each leg."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from shared.kernel.clock import to_datetime
from shared.ledger.accounting.names import account_name
from shared.ledger.entries import AVAILABLE, DEBT, HELD, OWN

MICROS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Change of one account by a transaction, in µcr: a debit is above zero. `balance` is the sum after the change."""

    account: str
    amount: int
    balance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """Entry as a transaction. An entry that moves no credits has no legs."""

    uid: str
    seq: int
    day: date
    kind: str
    operation: str
    legs: tuple[Leg, ...]


@dataclass(slots=True, eq=False, repr=False)
class Bookkeeper:
    """Writer of the transactions of one user.

    The balance of the user's own accounts is the entry's own statement. The balance of every other account is the sum
    of the postings so far. So books whose entries state wrong balances do not balance.
    """

    uid: str
    sums: Counter[str] = field(default_factory=Counter)

    def transaction(self, body: Mapping[str, Any]) -> Transaction:
        """Return the transaction of the user's next entry. Raises KeyError or TypeError for a malformed body."""
        return Transaction(
            uid=self.uid,
            seq=body["seq"],
            day=to_datetime(body["at"]).date(),
            kind=body["kind"],
            operation=body["op"],
            legs=tuple(self._legs(body)),
        )

    def _legs(self, body: Mapping[str, Any]) -> Iterator[Leg]:
        told = {AVAILABLE: body["held"] - body["posted"], HELD: -body["held"], DEBT: body["debt"]}
        for name, amount in _net(body["postings"]).items():
            self.sums[name] += amount
            balance = told[name] if name in OWN else self.sums[name]
            yield Leg(account=account_name(name, self.uid), amount=amount, balance=balance)


def transactions(bodies: Iterable[Mapping[str, Any]]) -> Iterator[Transaction]:
    """Yield the transactions of entries that stand one user after the other, each user's in order."""
    keeper = Bookkeeper(uid="")
    for body in bodies:
        if body["uid"] != keeper.uid:
            keeper = Bookkeeper(uid=body["uid"])
        yield keeper.transaction(body)


def amount_text(micros: int) -> str:
    """Return µcr as credits with all six decimals, as a journal states an amount."""
    whole, rest = divmod(abs(micros), MICROS)
    return f"{'-' if micros < 0 else ''}{whole}.{rest:06d}"


def _net(postings: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Return the debit of each source and destination. Credits leave the source, which is a debit there."""
    net: Counter[str] = Counter()
    for posting in postings:
        net[posting["from"]] += posting["amount"]
        net[posting["to"]] -= posting["amount"]
    return net

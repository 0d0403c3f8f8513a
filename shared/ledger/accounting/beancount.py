"""A ledger for beancount: each account is opened, and asserted at the end of each day that moved credits there."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from shared.ledger.accounting.transactions import Transaction, amount_text

HEAD = ('option "operating_currency" "CR"',)
TOLERANCE = "0.0000004"
"""Tolerance of an assertion, below one µcr. Beancount's own tolerance would accept an error of one µcr."""


def beancount_lines(transactions: Iterable[Transaction]) -> Iterator[str]:
    """Yield the lines of a ledger that `bean-check` accepts if the entries balance."""
    yield from HEAD
    opened: set[str] = set()
    balances: dict[str, int] = {}
    uid, day = "", date.min
    for each in transactions:
        if (each.uid, each.day) != (uid, day):
            yield from _assertions(day, balances)
            opened = opened if each.uid == uid else set()
            uid, day, balances = each.uid, each.day, {}
        for leg in each.legs:
            balances[leg.account] = leg.balance
            if leg.account not in opened:
                opened.add(leg.account)
                yield f"{each.day} open {leg.account} CR"
        yield from _told(each)
    yield from _assertions(day, balances)


def _told(transaction: Transaction) -> Iterator[str]:
    yield ""
    if not transaction.legs:
        yield f"; {transaction.day} {transaction.kind} seq {transaction.seq}"
        return
    yield f'{transaction.day} * "{transaction.kind}" "seq {transaction.seq} {transaction.operation}"'
    for leg in transaction.legs:
        yield f"  {leg.account}  {amount_text(leg.amount)} CR"


def _assertions(day: date, balances: dict[str, int]) -> Iterator[str]:
    """Yield the assertions at the beginning of the next day."""
    for account, balance in balances.items():
        yield f"{day + timedelta(days=1)} balance {account}  {amount_text(balance)} ~ {TOLERANCE} CR"

"""A journal for hledger: each leg has a balance assertion, and each account is declared before its first use."""

from collections.abc import Iterable, Iterator

from shared.ledger.accounting.transactions import Transaction, amount_text

HEAD = ("decimal-mark .", "commodity 1000.000000 CR")


def hledger_lines(transactions: Iterable[Transaction]) -> Iterator[str]:
    """Yield the lines of a journal that `hledger check --strict` accepts if the entries balance."""
    yield from HEAD
    declared: set[str] = set()
    uid = ""
    for each in transactions:
        if each.uid != uid:
            uid, declared = each.uid, set()
        for leg in each.legs:
            if leg.account not in declared:
                declared.add(leg.account)
                yield f"account {leg.account}"
        yield from _told(each)


def _told(transaction: Transaction) -> Iterator[str]:
    yield ""
    title = f"{transaction.kind}  ; seq: {transaction.seq}, op: {transaction.operation}"
    if not transaction.legs:
        yield f"; {transaction.day} {title}"
        return
    yield f"{transaction.day} * {title}"
    for leg in transaction.legs:
        yield f"    {leg.account}  {amount_text(leg.amount)} CR = {amount_text(leg.balance)} CR"

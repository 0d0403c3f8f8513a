"""Credits in and out: grants, adjustments, recoveries and direct charges."""

from shared.kernel.canonical import Json
from shared.kernel.clock import Millis
from shared.kernel.ids import LotId
from shared.kernel.money import AMOUNT_MAX, Micro
from shared.ledger.account import PRIORITY_PROMOTIONAL
from shared.ledger.books import Books, consumed
from shared.ledger.commands import Adjust, Charge, Grant, Recover
from shared.ledger.entries import ADJUSTMENT, AVAILABLE, DEBT, RECOVERED, Kind, Posting
from shared.ledger.errors import LimitReached, LotExists
from shared.ledger.expiry import settle_due
from shared.ledger.exposure import refusal, spendable
from shared.ledger.limits import budget_facts, may_spend, rate_limited, told_facts, within_budgets
from shared.ledger.receipts import AmountReceipt, GrantReceipt, RecoveryReceipt
from shared.ledger.suspensions import set_aside


def grant(books: Books, command: Grant) -> GrantReceipt:
    kind: Kind = "refund" if command.source.startswith("refund:") else "grant"
    _add_lot(books, command, kind, expires_at=command.expires_at, lot_fact=_lot_fact(command))
    if command.suspension is not None:
        set_aside(books, command.suspension, {command.lot: None}, f"{command.operation}:suspend")
    return GrantReceipt(after=books.totals, lot=command.lot, amount=command.amount)


def _lot_fact(command: Grant) -> dict[str, Json]:
    fact: dict[str, Json] = {
        "id": command.lot,
        "source": command.source,
        "priority": command.priority,
        "paid": command.is_paid,
    }
    return fact if command.expires_at is None else {**fact, "expires_at": command.expires_at}


def _add_lot(
    books: Books, command: Grant | Adjust, kind: Kind, *, expires_at: Millis | None, lot_fact: dict[str, Json]
) -> None:
    """Add a new lot. Raises LotExists, or LimitReached if the account has too many credits."""
    lot = LotId(str(lot_fact["id"]))
    if books.lot(lot) is not None:
        raise LotExists
    postings = _granted(books, str(lot_fact["source"]), command.amount, lot)
    books.post(kind, command.operation, postings, lot=lot_fact)
    if expires_at is not None and expires_at <= books.now:
        settle_due(books)


def _granted(books: Books, source: str, amount: int, lot: LotId) -> list[Posting]:
    """Return postings that grant `amount` (µcr) to a lot. The credits pay debt first, so that no debt outlives them.

    Raises LimitReached if the account would have too many credits.
    """
    if books.account.available + books.account.held + amount > AMOUNT_MAX:
        raise LimitReached("credits", AMOUNT_MAX)
    postings = [Posting(source, AVAILABLE, amount, lot)]
    if owed := min(books.account.debt, amount):
        postings.append(Posting(AVAILABLE, DEBT, owed, lot))
    return postings


def adjust(books: Books, command: Adjust) -> AmountReceipt:
    if command.amount > 0:
        _give(books, command)
    else:
        taken = consumed(books, -command.amount)
        books.post("adjustment", command.operation, [Posting(AVAILABLE, ADJUSTMENT, n, lot) for lot, n in taken])
    return AmountReceipt(after=books.totals, amount=command.amount)


def _give(books: Books, command: Adjust) -> None:
    """Add to the lot of an earlier adjustment, or to a new lot if there is none. All adjustments have equal terms."""
    known = next((lot for lot in books.account.lots.values() if lot.source == ADJUSTMENT), None)
    if known is not None:
        books.post("adjustment", command.operation, _granted(books, ADJUSTMENT, command.amount, known.id))
        return
    priority = PRIORITY_PROMOTIONAL
    fact: dict[str, Json] = {
        "id": f"lot_{command.operation}",
        "source": ADJUSTMENT,
        "priority": priority,
        "paid": False,
    }
    _add_lot(books, command, "adjustment", expires_at=None, lot_fact=fact)


def recover(books: Books, command: Recover) -> RecoveryReceipt:
    """Take the rest of the named lots, in their order, up to the command's amount, and return the amount taken.

    If the lots have no rest, nothing is taken.
    """
    left, postings = command.amount, []
    for name in dict.fromkeys(command.lots):
        lot = books.lot(name)
        part = 0 if lot is None else min(lot.available, left)
        if part:
            postings.append(Posting(AVAILABLE, RECOVERED, part, name))
            left = Micro(left - part)
    if postings:
        books.post("adjustment", command.operation, postings)
    return RecoveryReceipt(after=books.totals, recovered=command.amount - left)


def charge(books: Books, command: Charge) -> AmountReceipt:
    may_spend(books.account)
    tat = rate_limited(books, command.rate, is_admitted=command.is_admitted)
    within_budgets(books.account, command.budgets, command.amount, books.now)
    if command.amount > spendable(books.account):
        raise refusal(books.account, required=command.amount)
    taken = consumed(books, command.amount)
    postings = [Posting(AVAILABLE, f"revenue:{command.purpose}", amount, lot) for lot, amount in taken]
    told = told_facts(tags=command.tags, usage=command.usage)
    books.post(
        "charge", command.operation, postings, **tat, **budget_facts(books.account, command.budgets, books.now), **told
    )
    return AmountReceipt(after=books.totals, amount=command.amount)

"""Credits in and out: grants, adjustments, recoveries and direct charges."""

from shared.kernel.canonical import Json
from shared.kernel.clock import Millis
from shared.kernel.ids import LotId
from shared.kernel.money import AMOUNT_MAX, Micro
from shared.ledger.account import LOTS_MAX
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
    """Add a new lot. The granted credits pay debt first, so that no debt outlives the next purchase.

    Raises LotExists, or LimitReached if the account has too many lots or credits.
    """
    lot = LotId(str(lot_fact["id"]))
    if lot in books.account.lots or lot in books.archive.lots:
        raise LotExists
    if len(books.account.lots) >= LOTS_MAX:
        raise LimitReached("lots", LOTS_MAX)
    if books.account.available + books.account.held + command.amount > AMOUNT_MAX:
        raise LimitReached("credits", AMOUNT_MAX)
    postings = [Posting(str(lot_fact["source"]), AVAILABLE, command.amount, lot)]
    if owed := min(books.account.debt, command.amount):
        postings.append(Posting(AVAILABLE, DEBT, owed, lot))
    books.post(kind, command.operation, postings, lot=lot_fact)
    if expires_at is not None and expires_at <= books.now:
        settle_due(books)


def adjust(books: Books, command: Adjust) -> AmountReceipt:
    if command.amount > 0:
        fact: dict[str, Json] = {"id": f"lot_{command.operation}", "source": ADJUSTMENT, "priority": 10, "paid": False}
        _add_lot(books, command, "adjustment", expires_at=None, lot_fact=fact)
    else:
        taken = consumed(books.account, -command.amount)
        books.post("adjustment", command.operation, [Posting(AVAILABLE, ADJUSTMENT, n, lot) for lot, n in taken])
    return AmountReceipt(after=books.totals, amount=command.amount)


def recover(books: Books, command: Recover) -> RecoveryReceipt:
    """Take the rest of the named lots, in their order, up to the command's amount, and return the amount taken.

    If the lots have no rest, nothing is taken.
    """
    left, postings = command.amount, []
    for name in dict.fromkeys(command.lots):
        lot = books.account.lots.get(name)
        part = 0 if lot is None else min(lot.available, left)
        if part:
            postings.append(Posting(AVAILABLE, RECOVERED, part, name))
            left = Micro(left - part)
    if postings:
        books.post("adjustment", command.operation, postings)
    return RecoveryReceipt(after=books.totals, recovered=command.amount - left)


def charge(books: Books, command: Charge) -> AmountReceipt:
    may_spend(books.account)
    tat = rate_limited(books, command.rate)
    within_budgets(books.account, command.budgets, command.amount, books.now)
    if command.amount > spendable(books.account):
        raise refusal(books.account, required=command.amount)
    taken = consumed(books.account, command.amount)
    postings = [Posting(AVAILABLE, f"revenue:{command.purpose}", amount, lot) for lot, amount in taken]
    told = told_facts(tags=command.tags, usage=command.usage)
    books.post(
        "charge", command.operation, postings, **tat, **budget_facts(books.account, command.budgets, books.now), **told
    )
    return AmountReceipt(after=books.totals, amount=command.amount)

"""Crediting of a payment in one commit of the ledger: the lots, the money's document, and the end of the payment.

The commit does what the saga `top_up` does in two. The commit is refused as a whole if the money belongs to a payment
already, or if another worker has changed the payment. After any refusal the saga decides, step by step.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

from shared.kernel.clock import DAY, SECOND, Clock, Millis
from shared.kernel.documents import Data
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import HoldId, LotId, Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.about import AboutTags, Purpose, about
from shared.ledger.account import PRIORITY_PAID, PRIORITY_PROMOTIONAL
from shared.ledger.commands import Grant, RecordLifetime
from shared.ledger.hold_names import hold_id
from shared.ledger.ledger import Ledger
from shared.ledger.money_told import Way, money_text
from shared.payments.payment import Payment, with_applied
from shared.payments.store import effect, fields_of, saga_path, view_of
from shared.sagas.engine.leases import LeasedDocument
from shared.sagas.engine.saga import Runner

FRESH: Millis = 5 * SECOND
"""Time for which a provider's answer counts, if nothing was done there since. Settling a payment takes less."""
GIFT = "promo:package"


class DebtsOfLeavers(Protocol):
    """Debts of users who left, which the next purchase from the same mailbox pays."""

    def is_clear(self, uid: Uid) -> bool:
        """Return True if `purchased` would change nothing: no debt is owed, and the user's domain has paid before."""
        ...

    def purchased(self, uid: Uid, payment: str, lots: Sequence[tuple[LotId, Micro]]) -> None:
        """Note that a user has paid, and pay the mailbox's debt with the credits of this payment, by `lots` (µcr)."""
        ...

    def remember_late(self, uid: Uid, payment: str, amount: int) -> None:
        """Record the debt of a user who left for a payment whose money went back since: `amount` in all, in µcr."""
        ...


class Crediting:
    """Credits payments whose provider has just confirmed the money."""

    def __init__(self, ledger: Ledger, debts: DebtsOfLeavers | None, clock: Clock) -> None:
        self._ledger = ledger
        self._debts = debts
        self._clock = clock

    def credit_at_once(self, leased: LeasedDocument, runner: Runner, payment: Payment, args: Data) -> bool:
        """Credit a payment, and free the payment. Return False if the saga `top_up` has to credit, with these `args`.

        The saga credits money that a document assigns to this payment already, coins, and a payment that a mailbox's
        debt takes from. If False, nothing was done, or the first commit of the saga will be refused.
        """
        now = self._clock.now()
        is_fresh = 0 <= now - cast("int", args["asked_at"]) < FRESH
        if args["owner"] or payment.is_on_chain or not is_fresh:
            return False
        if self._debts is not None and not self._debts.is_clear(payment.uid):
            return False
        is_disputed = bool(args["is_disputed"])
        credited = granted(payment, now, is_disputed=is_disputed)
        steps: dict[str, Data] = {"confirm": {"at": now, "is_disputed": is_disputed}, "record": {}, "grant": {}}
        changes = {**fields_of(credited), **runner.ended_saga(leased, "top_up", args, steps), "due_at": None}
        writes = leased.last_writes(changes, view_of(credited, now), effect(payment, str(args["money"]), now))
        grants = grants_of(payment, now, is_disputed=is_disputed, record="none")
        try:
            versions = self._ledger.execute_together(payment.uid, grants, writes)
        except DomainError as error:
            log("payment_not_credited_at_once", "WARNING", payment=payment.id, code=error.code)
            return False
        leased.was_freed(versions.get(saga_path(payment.id)), changes, credited)
        return True


def granted(payment: Payment, at: Millis, *, is_disputed: bool) -> Payment:
    """Return the payment with the credits on the account since `at` (ms), all of them set aside if disputed."""
    suspension = _suspension(payment) if is_disputed else ""
    aside = payment.terms.price.minor if is_disputed else 0
    return replace(with_applied(payment, is_granted=True, suspension=suspension, aside=aside), settled_at=at)


def grants_of(payment: Payment, at: Millis, *, is_disputed: bool, record: RecordLifetime = "kept") -> list[Grant]:
    """Return the commands that grant one lot for the purchase and one for the gift.

    Lots and operations have names of the payment, so that each lot is granted once.
    """
    suspension = _suspension(payment) if is_disputed else None
    return [_grant(payment, *lot, at, suspension, record) for lot in payment.lots]


def _source(payment: Payment, lot: LotId) -> str:
    """Return the source from which a lot of the payment was granted."""
    return f"world:{payment.provider}" if lot == payment.paid_lot else GIFT


def about_payment(payment: Payment, purpose: Purpose, money: str = "") -> AboutTags:
    """Return the tags of an entry that a payment has caused. `money` is the text of the money that moved."""
    return about(purpose, ref=("payment", payment.id), money=money)


def money_moved(payment: Payment, way: Way, minor: int, lot: LotId) -> str:
    """Return the text of money that moved. Only the entry of the paid lot names money, so that money counts once."""
    return money_text(way, minor, payment.terms.price.currency) if lot == payment.paid_lot else ""


def _suspension(payment: Payment) -> HoldId:
    return hold_id("dispute", payment.id, "grant")


def _grant(
    payment: Payment, lot: LotId, amount: Micro, at: Millis, suspension: HoldId | None, record: RecordLifetime
) -> Grant:
    """Build the command that grants one lot of the payment. The gift has a lifetime, the paid lot has none."""
    is_paid = lot == payment.paid_lot
    days = None if is_paid else payment.terms.bonus_days
    return Grant(
        operation=operation_id("payment", payment.id, "grant", lot),
        fingerprint=payment.id,
        amount=amount,
        lot=lot,
        source=_source(payment, lot),
        priority=PRIORITY_PAID if is_paid else PRIORITY_PROMOTIONAL,
        expires_at=None if days is None else at + days * DAY,
        is_paid=is_paid,
        suspension=suspension,
        about=about_payment(
            payment, "purchase" if is_paid else "bonus", money_moved(payment, "in", payment.terms.price.minor, lot)
        ),
        record=record,
    )

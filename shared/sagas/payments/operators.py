"""Operators' acts on payments: change packages, refund money, replay stuck payments; each act is recorded."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from shared.kernel.documents import Data
from shared.kernel.expected import ExpectedVersions
from shared.kernel.ids import OperationId, fingerprint
from shared.kernel.money import format_credits
from shared.payments.chains.payouts import Payout, PayoutNotFound
from shared.payments.fiat import Fiat
from shared.payments.packages import Package, PackageNotFound, Packages
from shared.payments.payment import Payment, status_of
from shared.payments.problems import money_text
from shared.payments.store import Payments
from shared.sagas.payments.payouts import Payouts
from shared.sagas.payments.refunds import RefundAsked, Refunds
from shared.sagas.payments.settlement import Settlement
from shared.users.audit import Act, AuditTrail
from shared.users.operator_acts import AdminCheck, require_another, told
from shared.users.principal import Principal


class PaymentOperators:
    """The operators' acts on payments. Each act checks the current admin role, and is recorded before and after."""

    def __init__(
        self,
        check: AdminCheck,
        audit: AuditTrail,
        packages: Packages,
        payments: Payments,
        refunds: Refunds,
        settlement: Settlement,
        payouts: Callable[[], Payouts] | None = None,
    ) -> None:
        self._payouts = payouts
        self._check = check
        self._audit = audit
        self._packages = packages
        self._payments = payments
        self._refunds = refunds
        self._settlement = settlement

    def put_package(
        self,
        actor: Principal,
        package_id: str,
        fields: Mapping[str, Any],
        reason: str | None,
        expected: ExpectedVersions | None = None,
    ) -> Package:
        """Create or replace a package, and return the package. Raises InvalidValue, VersionChanged, Forbidden."""
        self._check.require_admin(actor)
        with self._audit.recording(actor.uid, "put_package", package_id, reason=reason) as act:
            act.before = self._known(package_id)
            package = self._packages.put(package_id, fields, expected)
            act.after = _told(package)
        return package

    def refund(  # an act says who, which payment, how much, and why to whom
        self,
        actor: Principal,
        payment_id: str,
        amount: str | None,
        reason: str,
        operation: OperationId,
        *,
        note_to_user: str = "",
        address: str = "",
    ) -> Payment:
        """Refund money to another user, and return the payment.

        `amount` is a decimal of the payment's currency; None: the whole rest. `address` is where coins of a user who
        left go; "" for the address that the user named.

        Raises OwnAccount, InvalidValue for an amount that the currency does not have, and the errors of
        `Refunds.refund`.
        """
        self._check.require_admin(actor)
        payment = self._payments.get(payment_id)
        minor = None if amount is None else Fiat.parse(amount, payment.terms.price.currency).minor
        before = _state(payment)
        asked = RefundAsked(
            payment=payment_id,
            minor=minor,
            operation=operation,
            fingerprint=fingerprint(f"refund\n{payment_id}\n{minor}{told(note_to_user)}{told(address)}"),
            note_to_user=note_to_user.strip(),
            address=address.strip(),
        )
        with self._audit.recording(
            actor.uid, "refund", payment_id, reason=reason, before=before, operation=operation
        ) as act:
            require_another(actor, payment.uid)
            refunded = self._refunds.refund(asked)
            act.after = _state(refunded)
        return refunded

    def payout_sent(
        self, actor: Principal, payment_id: str, refund: str, transaction: str, reason: str | None
    ) -> Payment:
        """Note the transaction that pays a refund in coins, and return the payment.

        Raises OwnAccount, and the errors of `Payouts.sent`.
        """
        self._check.require_admin(actor)
        with self._payout_act(actor, "payout_sent", payment_id, refund, reason) as (act, payouts):
            act.after = _told_payout(payouts.sent(payment_id, refund, transaction))
        return self._payments.get(payment_id)

    def cancel_payout(self, actor: Principal, payment_id: str, refund: str, reason: str) -> Payment:
        """Call a refund in coins off, so that the credits return, and return the payment.

        Raises OwnAccount, and the errors of `Payouts.cancel`.
        """
        self._check.require_admin(actor)
        with self._payout_act(actor, "cancel_payout", payment_id, refund, reason) as (act, payouts):
            act.after = _told_payout(payouts.cancel(payment_id, refund))
        return self._payments.get(payment_id)

    @contextmanager
    def _payout_act(
        self, actor: Principal, act: str, payment_id: str, refund: str, reason: str | None
    ) -> Iterator[tuple[Act, Payouts]]:
        """Record an act on a payout of another user's payment. Raises PaymentNotFound, PayoutNotFound, OwnAccount."""
        payment = self._payments.get(payment_id)
        if self._payouts is None or not payment.is_on_chain:
            raise PayoutNotFound
        payouts = self._payouts()
        before = _told_payout(payouts.get(payment_id, refund))
        with self._audit.recording(actor.uid, act, payment_id, reason=reason, before=before) as recorded:
            require_another(actor, payment.uid)
            yield recorded, payouts

    def replay(self, actor: Principal, payment_id: str, reason: str) -> Payment:
        """Settle a payment again that is stuck or parked, and return the payment.

        Raises the errors of `Settlement.revive`.
        """
        self._check.require_admin(actor)
        before = {"status": status_of(self._payments.get(payment_id))}
        with self._audit.recording(actor.uid, "replay_payment", payment_id, reason=reason, before=before) as act:
            payment = self._settlement.revive(payment_id)
            act.after = {"status": status_of(payment)}
        return payment

    def _known(self, package_id: str) -> Data | None:
        try:
            return _told(self._packages.look(package_id))
        except PackageNotFound:
            return None


def _state(payment: Payment) -> Data:
    refunded = Fiat(payment.seen.refunded, payment.terms.price.currency)
    return {"status": status_of(payment), "refunded": money_text(refunded)}


def _told_payout(payout: Payout) -> Data:
    return {
        "refund": payout.id,
        "state": payout.state,
        "coins": f"{payout.terms.amount} {payout.terms.asset} on {payout.terms.network}",
        "address": payout.terms.address,
        "transaction": payout.transaction,
    }


def _told(package: Package) -> Data:
    return {
        "price": money_text(package.price),
        "credits": format_credits(package.credits),
        "bonus": format_credits(package.bonus),
        "is_enabled": package.is_enabled,
        "version": package.version,
    }

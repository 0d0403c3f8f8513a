"""Debts of users who left: stored under the mark of the mailbox, and paid by the mailbox's next purchase.

`mailbox_debts/{mark}` holds the debt. A purchase first takes a part of the debt. Then the purchase pays that part from
the purchased credits under a separate operation, and gives back the rest. So a debt is paid once, by any number of
purchases at once and through any crash.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Put
from shared.kernel.events import log
from shared.kernel.ids import LotId, Uid, derived_id, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Recover
from shared.ledger.errors import AccountClosed
from shared.ledger.ledger import Ledger
from shared.sagas.accounts.bonus_caps import BonusCaps
from shared.users.mailbox import marks, normalised
from shared.users.profiles import Profiles

WRITE_ATTEMPTS_MAX = 10

Amounts = Mapping[str, int]
Change = Callable[["MailboxDebt"], "MailboxDebt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxDebt:
    """The debt of a mailbox in µcr, beyond the parts that purchases took to pay.

    `departed`: the debt of each account that left, and of each payment whose money went back after that. `taken`: parts
    that are being paid, by payment. `paid`: the part that each payment has paid.
    """

    owed: int = 0
    departed: Amounts
    taken: Amounts
    paid: Amounts

    def with_departed(self, name: str, amount: int) -> "MailboxDebt":
        """Return the debt when `name`, an account or payment, owes `amount` in all (µcr).

        A repeated amount adds nothing, and a lower amount is forgiven.
        """
        more = amount - self.departed.get(name, 0)
        if not more:
            return self
        return replace(self, owed=max(0, self.owed + more), departed={**self.departed, name: amount})

    def with_part_taken(self, payment: str, amount: int) -> "MailboxDebt":
        """Return the debt once this payment has set aside up to `amount` (µcr) of the debt, to pay this part.

        A payment does so once.
        """
        part = min(self.owed, amount)
        if payment in self.taken or payment in self.paid or not part:
            return self
        return replace(self, owed=self.owed - part, taken={**self.taken, payment: part})

    def with_part_paid(self, payment: str, amount: int) -> "MailboxDebt":
        """Return the debt once this payment has paid `amount` (µcr) of the part that the payment had set aside to pay.

        The rest of that part is owed again.
        """
        if payment not in self.taken:
            return self
        left = {name: part for name, part in self.taken.items() if name != payment}
        unpaid = self.taken[payment] - amount
        return replace(self, owed=self.owed + unpaid, taken=left, paid={**self.paid, payment: amount})


NONE_OWED = MailboxDebt(departed={}, taken={}, paid={})


class MailboxDebts:
    """The store of mailbox debts, from which purchases pay."""

    def __init__(
        self,
        documents: Documents,
        ledger: Ledger,
        profiles: Profiles,
        caps: BonusCaps,
        keys: Sequence[bytes],
        *,
        is_verification_needed: bool,
    ) -> None:
        self._documents = documents
        self._ledger = ledger
        self._profiles = profiles
        self._caps = caps
        self._keys = keys
        self._is_verification_needed = is_verification_needed

    def mark(self, uid: Uid) -> str | None:
        """Return the keyed hash that stands for the user's mailbox; None if the user has no address that is
        surely their own.
        """
        email = self._email(uid)
        return None if email is None else self._marks(email)[0]

    def remember(self, uid: Uid, mark: str, amount: int) -> None:
        """Record the debt of a user who left, once per user (µcr)."""
        departed = derived_id("left", uid)
        self._change(_path(mark), lambda debt: debt.with_departed(departed, amount))
        log("mailbox_debt_remembered", amount=amount)

    def remember_late(self, uid: Uid, payment: str, amount: int) -> None:
        """Record the debt of a user who left for a payment whose money went back since: `amount` in all, in µcr."""
        leaving = self._documents.get(f"leavings/{uid}")
        mark = None if leaving is None else leaving.data.get("mailbox")
        if isinstance(mark, str):
            owed_for = derived_id("late", payment)
            self._change(_path(mark), lambda debt: debt.with_departed(owed_for, amount))
            log("mailbox_debt_came_late", payment=payment, amount=amount)

    def is_clear(self, uid: Uid) -> bool:
        """Return True if `purchased` would change nothing: no debt is owed, and the user's domain has paid before."""
        email = self._email(uid)
        if email is None:
            return True
        found = self._documents.get_all([_path(mark) for mark in self._marks(email)])
        is_owed = any(_debt(document.data).owed for document in found if document is not None)
        return not is_owed and self._caps.has_paid(email)

    def purchased(self, uid: Uid, payment: str, lots: Sequence[tuple[LotId, Micro]]) -> None:
        """Note that a user has paid, and pay the mailbox's debt with the credits of this payment, by `lots` (µcr).

        A repeated call with the same payment changes nothing more.
        """
        email = self._email(uid)
        if email is None:
            return
        self._caps.paid(email)
        for mark in self._marks(email):
            self._pay(uid, _path(mark), payment, lots)

    def _pay(self, uid: Uid, path: str, payment: str, lots: Sequence[tuple[LotId, Micro]]) -> None:
        """Recover a mailbox's debt from the lots of one payment.

        The part is first reserved in the debt, then taken from the account, and then noted as paid. A repeated call
        with the same payment takes nothing more. A closed account pays nothing.
        """
        total = sum(amount for _, amount in lots)
        debt = self._change(path, lambda debt: debt.with_part_taken(payment, total))
        if payment not in debt.taken:
            return
        command = Recover(
            operation=operation_id("mailbox_debt", path, payment),
            fingerprint=payment,
            amount=Micro(debt.taken[payment]),
            lots=tuple(lot for lot, _ in lots),
        )
        try:
            recovered = self._ledger.execute(uid, command).receipt.recovered
        except AccountClosed:
            recovered = 0
        self._change(path, lambda debt: debt.with_part_paid(payment, recovered))
        log("mailbox_debt_paid", uid=uid, payment=payment, recovered=recovered)

    def _change(self, path: str, change: Change) -> MailboxDebt:
        """Apply `change` to the stored debt, and return the new debt. An unchanged debt is not written."""
        for _ in range(WRITE_ATTEMPTS_MAX):
            document = self._documents.get(path)
            before = NONE_OWED if document is None else _debt(document.data)
            after = change(before)
            if after == before:
                return after
            try:
                self._documents.commit([_written(path, document, after)])
                return after
            except PreconditionFailed:
                continue
        raise PreconditionFailed

    def _email(self, uid: Uid) -> str | None:
        profile = self._profiles.get(uid)
        if profile is None or profile.email is None:
            return None
        return profile.email if profile.is_email_verified or not self._is_verification_needed else None

    def _marks(self, email: str) -> list[str]:
        return marks(self._keys, f"mailto:{normalised(email)}")


def _path(mark: str) -> str:
    return f"mailbox_debts/{mark}"


def _debt(data: Data) -> MailboxDebt:
    return MailboxDebt(
        owed=cast("int", data["owed"]),
        departed=dict(cast("Amounts", data["departed"])),
        taken=dict(cast("Amounts", data["taken"])),
        paid=dict(cast("Amounts", data["paid"])),
    )


def _written(path: str, document: Document | None, debt: MailboxDebt) -> Create | Put:
    data: Data = {
        "owed": debt.owed,
        "departed": dict(debt.departed),
        "taken": dict(debt.taken),
        "paid": dict(debt.paid),
    }
    return Create(path, data) if document is None else Put(path, data, document.version)

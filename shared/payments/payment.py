"""Payment as stored: the agreed terms, the provider's last report, and the changes applied to the user's account."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from shared.kernel.clock import Millis
from shared.kernel.ids import LotId, Uid, derived_id
from shared.kernel.money import Micro
from shared.payments.chains.quote import LevelClaim, Quote
from shared.payments.chains.report import ChainReport
from shared.payments.fiat import Fiat
from shared.payments.movements import Movements, State, is_foreign, merged, movements_of, total, unexplained
from shared.payments.packages import Package
from shared.payments.ports import Flow, ProviderName, Refs, Stage, Truth
from shared.payments.providers import is_chain

DUE_SHARDS = 8
DEPOSIT = "deposit"
"""Package of a payment for coins that nobody ordered: credited at their value, without a gift."""

UNPAID_ENDS: frozenset[Stage | Literal[""]] = frozenset({"failed", "cancelled", "expired"})
"""Stages of a checkout that ended without money. Money may still come late."""

Status = Literal[
    "created",
    "pending",
    "confirming",
    "settled",
    "failed",
    "cancelled",
    "expired",
    "partially_refunded",
    "refunded",
    "disputed",
    "won",
    "lost",
    "taken_back",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Conditions agreed when the payment was made. Later changes of the package do not affect them.

    `credits` and `bonus` are µcr. If `bonus_days` is None, the bonus never ends.
    """

    package: str
    title: str
    price: Fiat
    credits: Micro
    bonus: Micro
    bonus_days: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReport:
    """Last known report of the provider, as sums in minor units. `stage` is "" before the provider was asked.

    `paid` stays once the provider has reported it. `movements` are all refunds and disputes ever reported. None: the
    payment was stored before movements were remembered, or the provider was never asked.
    """

    stage: Stage | Literal[""] = ""
    paid: Fiat | None = None
    movements: Movements | None = None
    withdrawn: Literal["", "open", "lost"] = ""
    """Same meaning as `Truth.withdrawn`."""
    refunded: int = 0
    lost: int = 0
    is_disputed: bool = False
    was_won: bool = False
    warnings: int = 0
    receipt_url: str | None = None
    failure: str | None = None

    @property
    def gone(self) -> int:
        """Return the minor units lost to the platform by refunds and disputes; never more than was paid."""
        if self.paid is None:
            return 0
        if self.withdrawn == "lost":
            return self.paid.minor
        known = self.refunded + self.lost if self.movements is None else self._total("gone")
        return min(known, self.paid.minor)

    @property
    def leaving(self) -> int:
        """Return the minor units that are gone or on their way back in a refund; never more than was paid."""
        refunds = 0 if self.paid is None else total(self.movements or {}, ["open"], self.paid.currency, ["refund"])
        return min(self.gone + refunds, 0 if self.paid is None else self.paid.minor)

    @property
    def undecided(self) -> int:
        """Return the minor units that open disputes and pending refunds may still take; never more than is left."""
        if self.paid is None:
            return 0
        left = self.paid.minor - self.gone
        is_whole = self.withdrawn == "open" or self.is_foreign
        return left if is_whole else min(self._total("open"), left)

    @property
    def is_foreign(self) -> bool:
        """Return True if money moved in another currency than the payment's: an operator must decide the amount."""
        return self.paid is not None and is_foreign(self.movements or {}, self.paid.currency)

    def _total(self, state: State) -> int:
        return 0 if self.paid is None else total(self.movements or {}, [state], self.paid.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedChanges:
    """Changes that the payment has made to the user's account.

    `taken` is the part of the money, in minor units, whose credits were taken back. `suspension` is the hold of the
    open suspension, and `aside` the part of the money, in minor units, that the suspension covers. `revision` counts
    the changes, so that each has a unique name.
    """

    is_granted: bool = False
    taken: int = 0
    suspension: str = ""
    aside: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Stored facts of a payment, in `payment_sagas/{id}`; times in ms. The owner sees `payments/{id}`.

    `checkout_url` and `client_secret` are None if the provider's flow has none. `settled_at` is None until money became
    credits.
    """

    id: str
    uid: Uid
    provider: ProviderName
    flow: Flow
    terms: Terms
    fingerprint: str
    created_at: Millis
    expires_at: Millis
    refs: Refs = field(default_factory=dict)
    checkout_url: str | None = None
    client_secret: str | None = None
    success_url: str = ""
    cancel_url: str = ""
    seen: ProviderReport = ProviderReport()
    applied: AppliedChanges = AppliedChanges()
    problem: str = ""
    """Reason why an operator must act before credits are granted: `wrong_amount`, `wrong_currency`, `wrong_mode`, …"""
    settled_at: Millis | None = None
    is_opened: bool = False
    slot: str = ""
    """Document path of this purchase's place under the user's limit for the package; empty if there is none."""
    back_key: str = ""
    """Secret part of the address by which the user leaves the provider's page; empty if the user returns elsewhere."""
    is_cancelled: bool = False
    """True once the user came back without paying. Money that comes later counts all the same."""
    is_given_up: bool = False
    """True if the cancelled checkout gave its place to another: an approval is not captured any more."""
    quote: Quote | None = None
    """Terms on which coins are taken; None if the payment is not on a chain."""
    claim: LevelClaim | None = None
    """Part of the address's level that belongs to this payment; None before the part is certain."""
    chain: ChainReport | None = None
    """Last known state on the chain; None before the first look."""
    page_key: str = ""
    """Secret part of the address of the payer's page; empty if the payment has no such page."""

    @property
    def paid_lot(self) -> LotId:
        """Return the lot of the paid credits."""
        return LotId(derived_id("lot", "payment", self.id))

    @property
    def bonus_lot(self) -> LotId:
        """Return the lot of the bonus credits."""
        return LotId(derived_id("lot", "payment_bonus", self.id))

    @property
    def lots(self) -> tuple[tuple[LotId, Micro], ...]:
        """Return the lots that the payment grants, each with its credits in µcr."""
        paid = (self.paid_lot, self.terms.credits)
        return (paid,) if not self.terms.bonus else (paid, (self.bonus_lot, self.terms.bonus))

    @property
    def is_payable(self) -> bool:
        """Return True if the user can still pay on the provider's page, also again after a declined attempt."""
        stage = self.seen.stage
        is_waiting = stage in {"", "open"} or (stage == "approved" and bool(self.seen.failure))
        return is_waiting and not (self.is_given_up or self.applied.is_granted)

    @property
    def is_turned_back(self) -> bool:
        """Return True if the user turned back, and no money came or is on its way since."""
        is_closed = self.is_given_up and self.seen.stage not in {"pending", "paid"}
        return self.is_cancelled and (self.is_payable or is_closed or self.seen.stage == "expired")

    @property
    def is_over(self) -> bool:
        """Return True if no money came and none is expected: the payment then holds no place of a limited package."""
        if self.applied.is_granted:
            return False
        is_untaken = self.is_given_up and self.seen.stage not in {"pending", "paid"}
        return is_untaken or self.seen.stage in UNPAID_ENDS

    @property
    def returned_minor(self) -> int:
        """Return the part of the price that has gone back, in minor units.

        If credits were granted, count the money whose credits were taken back; else count all money on its way back.
        """
        return self.applied.taken if self.applied.is_granted else self.seen.leaving

    @property
    def refunded_minor(self) -> int:
        """Return the minor units that went back or are on their way back in refunds; never more than was paid."""
        return min(self.seen.refunded, 0 if self.seen.paid is None else self.seen.paid.minor)

    @property
    def disputes(self) -> tuple[str, ...]:
        """Return the ids of all disputes that the provider has reported."""
        known = self.seen.movements or {}
        return tuple(name.partition(":")[2] for name, each in known.items() if each.kind == "dispute")

    @property
    def is_on_chain(self) -> bool:
        """Return True if the money is coins on a chain."""
        return is_chain(self.provider)

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """Return the provider's ids of everything that belongs to this payment: checkout, money, refunds, disputes.

        On a chain: the address and the transactions.
        """
        if self.is_on_chain:
            hashes = () if self.chain is None else (each.hash for each in self.chain.transactions)
            return tuple(sorted({self.refs.get("address", ""), *hashes} - {""}))
        moved = (name.partition(":")[2] for name in self.seen.movements or {})
        return tuple(sorted({*self.refs.values(), *moved} - {""}))

    @property
    def due_shard(self) -> int:
        """Return the shard of sweeps that the payment belongs to."""
        return int(derived_id("shard", self.id)[-2:], 16) % DUE_SHARDS


def quote_of(payment: Payment) -> Quote:
    """Return the quote of a payment on a chain. The payment must have a quote."""
    assert payment.quote is not None, "a payment on a chain has a quote"
    return payment.quote


def status_of(payment: Payment) -> Status:
    """Return the payment's status as its owner sees it."""
    seen, applied = payment.seen, payment.applied
    if not applied.is_granted:
        return _status_before(payment)
    if payment.is_on_chain and (seen.is_disputed or seen.lost):
        return "taken_back"
    if seen.is_disputed:
        return "disputed"
    if seen.lost:
        return "lost"
    if applied.taken:
        is_whole = seen.paid is not None and applied.taken >= seen.paid.minor
        return "refunded" if is_whole else "partially_refunded"
    return "won" if seen.was_won and not payment.is_on_chain else "settled"


def _status_before(payment: Payment) -> Status:
    """Return the status of a payment without granted credits: `refunded` if all of the money went back first."""
    seen = payment.seen
    if seen.stage == "paid":
        if seen.is_disputed:
            return "taken_back" if payment.is_on_chain else "disputed"
        is_back = seen.paid is not None and 0 < seen.paid.minor <= seen.leaving
        lost: Status = "taken_back" if payment.is_on_chain else "lost"
        return (lost if seen.lost else "refunded") if is_back else "confirming"
    if payment.is_turned_back:
        return "cancelled"
    if payment.is_payable:
        return "pending" if payment.is_opened else "created"
    return cast("Status", seen.stage) if seen.stage in UNPAID_ENDS else "confirming"


def seen_in(truth: Truth, payment: Payment | None = None) -> ProviderReport:
    """Return the known report on a payment after the provider reported `truth`. Without `payment`, the payment is new.

    Money stays seen. If a capture now reads as pending or declined, or a movement is no longer listed, the known
    movements stay as they are. Only another state of the same movement changes a movement.
    """
    is_granted = payment is not None and payment.applied.is_granted
    paid = truth.paid or (payment.terms.price if payment is not None and is_granted else None)
    told = movements_of(truth)
    known = merged(_remembered(payment, told), told)
    currency = "" if paid is None else paid.currency
    withdrawn = _withdrawn(truth, is_granted=is_granted)
    refunded = max(0, total(known, ["gone", "open"], currency, ["refund", "earlier"]) - _lost_as_refunds(truth))
    lost = total(known, ["gone"], currency, ["dispute"]) + _lost_as_refunds(truth)
    is_argued = any(each.kind == "dispute" and each.state == "open" for each in known.values())
    return ProviderReport(
        stage="paid" if is_granted else truth.stage,
        paid=paid,
        movements=known,
        withdrawn=withdrawn,
        refunded=refunded,
        lost=max(lost, paid.minor - refunded) if paid is not None and withdrawn == "lost" else lost,
        is_disputed=is_argued or withdrawn == "open",
        was_won=any(dispute.status in {"won", "withdrawn"} for dispute in truth.disputes),
        warnings=len(truth.warnings),
        receipt_url=truth.receipt_url,
        failure=truth.failure,
    )


def with_chain(payment: Payment, truth: Truth) -> Payment:
    """Return the payment with the facts of the chain. If less than the agreed price is granted, write new terms.

    The terms of a credited payment never change.
    """
    told = truth.chain
    if told is None:
        return payment
    known = replace(payment, chain=told.report, claim=told.claim or payment.claim)
    if payment.applied.is_granted or told.part is None:
        return known
    return replace(known, terms=part_of(payment.terms, told.part))


def agreed_terms(package: Package) -> Terms:
    """Return the terms of a purchase at the package's present price."""
    return Terms(
        package=package.id,
        title=package.title,
        price=package.price,
        credits=package.credits,
        bonus=package.bonus,
        bonus_days=package.bonus_days,
    )


def part_of(terms: Terms, price: Fiat) -> Terms:
    """Return the terms for a part of the agreed price: the share of the credits, and no gift."""
    if price == terms.price:
        return terms
    return replace(terms, price=price, credits=share(terms.credits, price.minor, terms.price.minor), bonus=Micro(0))


def _remembered(payment: Payment | None, told: Movements) -> Movements:
    if payment is None:
        return {}
    if payment.seen.movements is not None:
        return payment.seen.movements
    return unexplained(payment.applied.taken, told, payment.terms.price.currency)


def _withdrawn(truth: Truth, *, is_granted: bool) -> Literal["", "open", "lost"]:
    """Return the `withdrawn` state.

    If a credited payment is no longer `paid`, the provider took or holds all of its money.
    """
    if truth.withdrawn or not is_granted:
        return truth.withdrawn
    if truth.stage == "pending":
        return "open"
    return "lost" if truth.stage == "failed" else ""


def _lost_as_refunds(truth: Truth) -> int:
    """Return the minor units lost in disputes that are also listed as refunds. They count once, as lost."""
    told = {dispute.refund for dispute in truth.disputes if dispute.status == "lost"}
    return sum(refund.amount.minor for refund in truth.refunds if refund.id in told and refund.status != "failed")


def share(credits_: Micro, taken: int, paid: int) -> Micro:
    """Return the µcr that `taken` of `paid` minor units are worth: all credits for all money, else rounded down."""
    return Micro(credits_ if taken >= paid else credits_ * taken // paid)


def with_applied(payment: Payment, **changes: Any) -> Payment:
    """Return the payment with these changes noted as made to the user's account."""
    return replace(payment, applied=replace(payment.applied, **changes))

"""Payouts: coins that an operator sends back for a refund, as stored in `crypto_payouts/{refund}`. Pure.

A person sends the coins; the chain shows them. A payout that was called off stays called off: if the coins are sent
all the same, they are another refund, `{refund}.1`, so that the credits follow the coins in every order.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, cast, get_args

from shared.kernel.clock import DAY, HOUR, MINUTE, SECOND, Millis, from_datetime, to_datetime
from shared.kernel.documents import Data, Value
from shared.kernel.errors import Conflict, InvalidValue, NotFound
from shared.kernel.ids import Uid
from shared.payments.chains.networks import Family
from shared.payments.chains.ports import AssetName, Block, NetworkName, SeenTransaction, Transfer
from shared.payments.fiat import Fiat
from shared.payments.ports import Refund

COLLECTION = "crypto_payouts"
TRANSACTIONS = "crypto_payout_transactions"
PayoutState = Literal["waiting", "seen", "sent", "cancelled"]
"""`waiting`: nothing is on the chain. `seen`: in a block that is not deep enough. `sent`: deep enough. `cancelled`:
called off, and the credits are back.
"""
PAYOUT_STATES: tuple[PayoutState, ...] = get_args(PayoutState)
CLOCKS_APART: Mapping[Family, Millis] = {"evm": MINUTE, "bitcoin": 2 * HOUR}
"""Most by which the time of a block may be before the real time."""
SETTLE_SOON: Millis = 5 * SECOND
LOOK_NEXT: Millis = MINUTE
WATCHED: Millis = 7 * DAY
"""Time for which a named transaction is looked for without a block."""


class PayoutNotFound(NotFound):
    """Error for a refund that does not exist, or whose money does not go back as coins."""

    code = "payout_not_found"

    def __init__(self) -> None:
        super().__init__("This payment has no such refund in coins.")


class PayoutIsOut(Conflict):
    """The coins of this refund are on the chain, or on their way."""

    code = "payout_is_out"

    def __init__(self, transaction: str) -> None:
        super().__init__("The coins of this refund have been sent, so it stays as it is.", transaction=transaction)


class PayoutNotShown(Conflict):
    """The chain does not show that a transaction pays this refund; `reason` says why."""

    code = "payout_not_shown"

    def __init__(self, fault: str) -> None:
        super().__init__(FAULTS[fault], reason=fault)


class TransactionServesAnother(Conflict):
    """The transaction pays another refund already."""

    code = "transaction_serves_another"

    def __init__(self) -> None:
        super().__init__("This transaction pays another refund. Each refund needs a transaction of its own.")


FAULTS: Mapping[str, str] = {
    "unknown": "The network does not know this transaction. Check the hash, or ask again shortly.",
    "failed": "This transaction failed, so it moved nothing. Send the coins again.",
    "other_address": "This transaction sends none of these coins to the address of the refund.",
    "other_amount": "This transaction sends another amount to the address than the refund has. Call the refund off, "
    "and correct the user's balance by hand.",
    "too_old": "This transaction is older than the refund, so it was sent for something else.",
}
"""Sentences for the reasons why a transaction does not pay a refund."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPayout:
    """Terms of a payout, fixed when the operator asks for the refund: `amount` atomic units at `rate` USD per coin."""

    network: NetworkName
    asset: AssetName
    decimals: int
    address: str
    amount: int
    rate: str
    sources: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Value]:
        """Return the terms as arguments of the saga, and as fields of the document."""
        names = ("network", "asset", "decimals", "address", "rate")
        told: dict[str, Value] = {name: getattr(self, name) for name in names}
        return {**told, "amount": str(self.amount), "sources": list(self.sources)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """Coins to send back for a refund of `price`.

    `transaction` is the one that an operator named, "" before. `height` and `block` name the block, None and "" before.
    `fault` is the reason why the last named transaction does not pay, "" without one. `calls_off` counts how often the
    payout was called off. `is_unsettled` is True until the payment knows the state. `due_at` is the time of the next
    look, None if nothing is to be looked for.
    """

    id: str
    payment: str
    uid: Uid
    family: Family
    terms: PlannedPayout
    price: Fiat
    asked_at: Millis
    state: PayoutState = "waiting"
    transaction: str = ""
    named_at: Millis = 0
    height: int | None = None
    block: str = ""
    fault: str = ""
    calls_off: int = 0
    is_final: bool = False
    is_unsettled: bool = False
    due_at: Millis | None = None

    @property
    def path(self) -> str:
        """Return the path of the document."""
        return payout_path(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutLook:
    """Answer of a look at a payout's transaction.

    `fault` is the reason why the transaction does not pay, "" without one. `block` is None while the
    transaction is in no block. A block that counts is `is_deep`; one that nothing can take back is `is_final`.
    """

    fault: str = ""
    block: Block | None = None
    is_deep: bool = False
    is_final: bool = False


def payout_path(refund: str) -> str:
    """Return the path of a payout's document."""
    return f"{COLLECTION}/{refund}"


def transaction_path(network: NetworkName, transaction: str) -> str:
    """Return the path of the document that says which refund a transaction pays."""
    return f"{TRANSACTIONS}/{network}:{transaction}"


def refunds_of(payouts: Iterable[Payout]) -> tuple[Refund, ...]:
    """Return the refunds that these payouts are. A payout that was called off and sent after all is two refunds."""
    return tuple(refund for payout in payouts for refund in _refunds(payout))


def _refunds(payout: Payout) -> Iterator[Refund]:
    for number in range(payout.calls_off):
        yield Refund(id=_refund_id(payout, number), amount=payout.price, status="failed")
    if payout.state != "cancelled":
        status: Literal["pending", "succeeded"] = "succeeded" if payout.state == "sent" else "pending"
        yield Refund(id=_refund_id(payout, payout.calls_off), amount=payout.price, status=status)


def _refund_id(payout: Payout, number: int) -> str:
    return f"{payout.id}.{number}" if number else payout.id


def coins_for(price: Fiat, rate: Fraction, decimals: int) -> int:
    """Return the atomic units that are worth `price` at a rate, rounded down. Raises InvalidValue for no whole unit."""
    amount = int(Fraction(price.minor, 100) / rate * 10**decimals)
    if amount < 1:
        raise InvalidValue("amount", "must be worth at least one unit of the coin")
    return amount


def fault_of(payout: Payout, seen: SeenTransaction | None, transfers: Iterable[Transfer]) -> str:
    """Return why a transaction does not pay this refund; "" without a reason. A transaction in no block is not judged.

    `transfers` are the transfers of the payout's asset to the payout's address in the transaction's block.
    """
    if seen is None:
        return "unknown"
    if seen.block is None:
        return ""
    if not seen.succeeded:
        return "failed"
    amount = sum(each.amount for each in transfers if _is_in(each, seen))
    if not amount:
        return "other_address"
    if amount != payout.terms.amount:
        return "other_amount"
    return "too_old" if seen.block.time < payout.asked_at - CLOCKS_APART[payout.family] else ""


def _is_in(transfer: Transfer, seen: SeenTransaction) -> bool:
    is_same = transfer.transaction.lower() == seen.transaction.lower()
    return is_same and transfer.block is not None and seen.block is not None and transfer.block.hash == seen.block.hash


def named(payout: Payout, transaction: str, now: Millis) -> Payout:
    """Return the payout with the transaction that an operator names. Raises PayoutIsOut if another one pays already."""
    if payout.transaction == transaction:
        return payout
    if payout.state in {"seen", "sent"}:
        raise PayoutIsOut(payout.transaction)
    return replace(payout, transaction=transaction, named_at=now, fault="", height=None, block="")


def looked(payout: Payout, look: PayoutLook, now: Millis) -> Payout:
    """Return the payout after a look at the transaction.

    A transaction whose block left the chain is waited for again. A transaction that does not pay is forgotten. Coins
    of a payout that was called off count again once a block shows them.
    """
    if look.fault and look.fault != "unknown":
        gone = replace(_waiting(payout), transaction="", fault=look.fault)
        return _due(gone, payout, now)
    if look.block is None:
        return _due(_waiting(payout), payout, now)
    is_same = look.block.hash == payout.block
    is_sent = look.is_deep or (payout.state == "sent" and is_same)
    found = replace(
        payout,
        state="sent" if is_sent else "seen",
        height=look.block.height,
        block=look.block.hash,
        fault="",
        is_final=look.is_final,
    )
    return _due(found, payout, now)


def called_off(payout: Payout, now: Millis) -> Payout:
    """Return the payout without a promise to send coins; the credits return. Raises PayoutIsOut.

    A named transaction is still looked for, since coins may come to light that were sent all the same.
    """
    if payout.state == "cancelled":
        return payout
    if payout.state in {"seen", "sent"}:
        raise PayoutIsOut(payout.transaction)
    return _due(replace(payout, state="cancelled", calls_off=payout.calls_off + 1), payout, now)


def settled(payout: Payout, now: Millis) -> Payout:
    """Return the payout whose state the payment knows."""
    return _due(replace(payout, is_unsettled=False), replace(payout, is_unsettled=False), now)


def _waiting(payout: Payout) -> Payout:
    """Return the payout without a block."""
    state: PayoutState = "cancelled" if payout.state == "cancelled" else "waiting"
    return replace(payout, state=state, height=None, block="", is_final=False)


def _due(payout: Payout, before: Payout, now: Millis) -> Payout:
    """Return the payout with the time of the next look, and a note if the payment does not know the state yet."""
    is_moved = (payout.state, payout.calls_off) != (before.state, before.calls_off)
    is_unsettled = payout.is_unsettled or is_moved
    is_under_way = bool(payout.transaction) and not payout.is_final
    is_watched = is_under_way and (payout.height is not None or now < payout.named_at + WATCHED)
    due_at = now + SETTLE_SOON if is_unsettled else now + LOOK_NEXT if is_watched else None
    return replace(payout, is_unsettled=is_unsettled, due_at=due_at)


PLAIN = (
    "payment", "uid", "family", "state", "transaction", "height", "block", "fault", "calls_off", "is_final",
    "is_unsettled",
)  # fmt: skip


def to_data(payout: Payout) -> dict[str, Value]:
    """Return the fields of the document."""
    plain: dict[str, Value] = {name: getattr(payout, name) for name in PLAIN}
    return {
        **plain,
        **payout.terms.to_data(),
        "price": {"minor": payout.price.minor, "currency": payout.price.currency},
        "asked_at": to_datetime(payout.asked_at),
        "named_at": to_datetime(payout.named_at),
        "due_at": None if payout.due_at is None else to_datetime(payout.due_at),
    }


def terms_of(stored: Mapping[str, Any]) -> PlannedPayout:
    """Return the terms that a document, or the arguments of a saga, hold."""
    plain: dict[str, Any] = {name: stored[name] for name in ("network", "asset", "decimals", "address", "rate")}
    return PlannedPayout(amount=int(stored["amount"]), sources=tuple(stored["sources"]), **plain)


def from_data(refund: str, data: Data) -> Payout:
    """Return the payout that a stored document describes."""
    stored = cast("Mapping[str, Any]", data)
    due_at = stored["due_at"]
    plain: dict[str, Any] = {name: stored[name] for name in PLAIN}
    return Payout(
        id=refund,
        terms=terms_of(stored),
        price=Fiat(**stored["price"]),
        asked_at=from_datetime(stored["asked_at"]),
        named_at=from_datetime(stored["named_at"]),
        due_at=None if due_at is None else from_datetime(due_at),
        **plain,
    )

"""Orders that a signed authorization pays (EIP-3009): content, state on the chain, and claims on a level. Pure.

A token moves coins for anybody who brings the payer's signature, once for each nonce. The chain tells whether a nonce
was used, but not for what: the payer may have cancelled the authorization. So an order counts only if its nonce was
used, and the level of the address has coins that belong to no payment yet.

EIP-3009: https://eips.ethereum.org/EIPS/eip-3009. EIP-712: https://eips.ethereum.org/EIPS/eip-712.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from shared.kernel.clock import SECOND, Millis, from_datetime, to_datetime
from shared.kernel.documents import Value
from shared.kernel.ids import derived_id
from shared.payments.chains.claims import exact_text
from shared.payments.chains.levels import LevelRecord, PaymentClaim, with_claims
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.fiat import Fiat

RESEND: Millis = 10 * SECOND
"""Time after which an authorization is sent again if no answer came. The nonce lets coins move once only."""
ENDED: Millis = 3_600 * SECOND
"""Time for which an order that came to nothing is remembered with the address, after the authorization's end."""

OrderState = Literal["open", "used", "claimed", "unpaid", "expired"]
"""State of an authorized order on the chain.

`open`: the nonce is not used. `used`: the nonce is used, not deep enough. `claimed`: the coins are the payment's.
`unpaid`: the nonce is used, but no coins are there. `expired`: the authorization ended, and can move coins no more.
"""
OVER: frozenset[OrderState] = frozenset({"claimed", "expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDomain:
    """EIP-712 domain of a token's contract, as the contract states it. `separator` is the hash of the domain."""

    name: str
    version: str
    separator: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Content of a signed transfer. Addresses and `nonce` are lower-case hex, times are seconds, `value` is atomic."""

    payer: str
    receiver: str
    value: int
    valid_after: int
    valid_before: int
    nonce: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizedOrder:
    """Order of a payment by an authorization, at the address of the user.

    `due` are the atomic units that the payment gets; more coins are a deposit. `rate` is the USD per whole coin.
    `sent_at` is the last time at which the authorization was given to the facilitator, None before. `refusal` is the
    facilitator's reason for not settling, "" without one. `transaction` is the hash that the facilitator told.
    """

    payment: str
    network: NetworkName
    asset: AssetName
    contract: str
    domain: TokenDomain
    authorization: Authorization
    due: int
    price: Fiat
    rate: Fraction
    at: Millis
    state: OrderState = "open"
    sent_at: Millis | None = None
    is_answered: bool = False
    refusal: str = ""
    transaction: str = ""

    @property
    def ends_at(self) -> Millis:
        """Return the time from which the authorization moves no coins."""
        return self.authorization.valid_before * SECOND

    @property
    def is_over(self) -> bool:
        """Return True if the order needs no further look."""
        return self.state in OVER

    def is_on_its_way(self, now: Millis) -> bool:
        """Return True if coins may still come for the order, or do not count yet.

        So also before the first sending: if the worker died, a later run sends the authorization.
        """
        if self.state == "used":
            return True
        return self.state == "open" and not self.refusal and now < self.ends_at

    def is_to_send(self, now: Millis) -> bool:
        """Return True if the facilitator should get the authorization now: never sent, or without an answer."""
        if self.state != "open" or self.is_answered or now >= self.ends_at:
            return False
        return self.sent_at is None or now >= self.sent_at + RESEND


@dataclass(frozen=True, slots=True, kw_only=True)
class NonceFacts:
    """Facts on a nonce: used in the state after the head, after the block deep enough, and that block's time."""

    is_used: bool
    is_used_deep: bool
    deep_time: Millis


def payment_id_of(network: NetworkName, contract: str, payer: str, nonce: str) -> str:
    """Return the id of the payment by an authorization. A nonce moves coins once, so it names one payment for ever."""
    return derived_id("pay", "x402", network, contract.lower(), payer.lower(), nonce.lower())


def with_authorized(
    level: LevelRecord, order: AuthorizedOrder, facts: NonceFacts, now: Millis, review: str
) -> tuple[LevelRecord, AuthorizedOrder]:
    """Return level and order after a look at the order's nonce. The order's claim is made at most once.

    While units are missing nothing new is claimed. An order without coins is looked at until the authorization ends:
    the token may have given no answer, or a block may leave the chain.
    """
    if order.is_over:
        return level, order
    is_countable = facts.is_used_deep and not level.missing
    if is_countable and level.rest >= order.due:
        return with_claims(level, _claim(level, order, now, review)), replace(order, state="claimed")
    if facts.is_used and not is_countable:
        return level, replace(order, state="used")
    if facts.deep_time >= order.ends_at:
        return level, replace(order, state="expired")
    return level, replace(order, state="unpaid" if is_countable else "open")


def _claim(level: LevelRecord, order: AuthorizedOrder, now: Millis, review: str) -> PaymentClaim:
    return PaymentClaim(
        payment=order.payment,
        begin=level.end,
        end=level.end + order.due,
        price=order.price,
        rate=exact_text(order.rate),
        at=now,
        review=review,
    )


def is_forgettable(order: AuthorizedOrder, unsettled: Collection[str], now: Millis) -> bool:
    """Return True if the address need not remember an order: the claim is settled, or the order ended long ago."""
    if order.state == "claimed":
        return order.payment not in unsettled
    return order.is_over and now > order.ends_at + ENDED


def order_data(order: AuthorizedOrder) -> dict[str, Value]:
    """Return the stored form of an order. Whole numbers that may be large are decimal texts."""
    signed = order.authorization
    return {
        **{name: getattr(order, name) for name in _PLAIN},
        "domain": asdict(order.domain),
        "authorization": {**asdict(signed), "value": str(signed.value)},
        "due": str(order.due),
        "price": {"minor": order.price.minor, "currency": order.price.currency},
        "rate": exact_text(order.rate),
        "at": to_datetime(order.at),
        "sent_at": None if order.sent_at is None else to_datetime(order.sent_at),
    }


def order_from(stored: Mapping[str, Any]) -> AuthorizedOrder:
    """Return the order that a stored form describes."""
    signed, sent_at = stored["authorization"], stored["sent_at"]
    return AuthorizedOrder(
        **{name: stored[name] for name in _PLAIN},
        domain=TokenDomain(**stored["domain"]),
        authorization=Authorization(**{**signed, "value": int(signed["value"])}),
        due=int(stored["due"]),
        price=Fiat(**stored["price"]),
        rate=Fraction(stored["rate"]),
        at=from_datetime(stored["at"]),
        sent_at=None if sent_at is None else from_datetime(sent_at),
    )


_PLAIN = ("payment", "network", "asset", "contract", "state", "is_answered", "refusal", "transaction")

"""Addresses of payments as stored in `crypto_addresses/{family}:{index}`. Atomic amounts are decimal strings."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, cast

from shared.kernel.clock import EPOCH, Millis, from_datetime, to_datetime
from shared.kernel.documents import Create, Data, Document, Patch, Value
from shared.kernel.errors import Conflict
from shared.kernel.ids import Uid
from shared.payments.chains.amounts import rate_of
from shared.payments.chains.authorizations import AuthorizedOrder, order_data, order_from
from shared.payments.chains.claims import CoinOrder, exact_text
from shared.payments.chains.levels import GoneBlock, LevelRecord, Mark, PaymentClaim
from shared.payments.chains.networks import Family
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.quote import Quote
from shared.payments.chains.report import SeenTransfer
from shared.payments.fiat import Fiat

if TYPE_CHECKING:
    from shared.payments.payment import Payment

COLLECTION = "crypto_addresses"
TRANSFERS_MAX = 50
"""Most transactions that are remembered for one address, the newest."""
Key = tuple[NetworkName, AssetName]
"""Network and asset of a level."""


class CoinsHaveCome(Conflict):
    """Coins have come to the address of this payment, so that network and asset are fixed."""

    code = "coins_have_come"

    def __init__(self) -> None:
        super().__init__("Coins have come for this payment, so network and asset stay as they are.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTransferOf:
    """Transaction that brought coins to an address, with sender and atomic amount: evidence for people.

    `shown` is the part that the payer sees.
    """

    network: NetworkName
    asset: AssetName
    sender: str
    amount: int
    shown: SeenTransfer


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRecord:
    """Address that belongs to one ordered payment for ever, with the levels of everything that came there.

    `order` is the ordered payment's quote. `swept` are the networks on which coins were sent away. `unfinal_cents` is
    the value of the coins that are not final. `unsettled` are payments to bring in step with their claims. `due_at` is
    the time of the next look without a nudge, None if nothing is under way.

    The address of a user's agents has no ordered payment: `payment` is "", `is_for_agents` is True, and `authorized`
    are the orders that signed authorizations pay.
    """

    uid: Uid
    family: Family
    index: int
    address: str
    payment: str
    opened_at: Millis
    order: CoinOrder | None = None
    swept: frozenset[NetworkName] = frozenset()
    levels: Mapping[Key, LevelRecord] = field(default_factory=dict)
    transfers: tuple[SeenTransferOf, ...] = ()
    unfinal_cents: int = 0
    unsettled: frozenset[str] = frozenset()
    due_at: Millis | None = None
    is_for_agents: bool = False
    authorized: tuple[AuthorizedOrder, ...] = ()

    @property
    def path(self) -> str:
        """Return the path of the document."""
        return address_path(self.family, self.index)

    def level(self, key: Key) -> LevelRecord:
        """Return the record of one level; an empty one if nothing ever came."""
        return self.levels.get(key, EMPTY)

    def order_at(self, key: Key) -> CoinOrder | None:
        """Return the order if it is in this network and asset, else None."""
        return self.order if self.order is not None and (self.order.network, self.order.asset) == key else None

    @property
    def is_order_open(self) -> bool:
        """Return True while coins can still become the ordered package or a part of it."""
        return self.order is not None and not self.level((self.order.network, self.order.asset)).is_claimed

    @property
    def has_coins(self) -> bool:
        """Return True if coins have come or wait in the pool, or a payment was decided."""
        return any(each.head or each.standing or each.pool or each.is_claimed for each in self.levels.values())

    @property
    def has_open_orders(self) -> bool:
        """Return True if an authorization may still move coins, or has moved coins that do not count yet."""
        return any(not each.is_over for each in self.authorized)

    def authorized_order(self, payment: str) -> AuthorizedOrder | None:
        """Return the order of a payment by authorization; None if there is none, or none is remembered."""
        return next((each for each in self.authorized if each.payment == payment), None)

    def claims(self) -> Iterator[tuple[Key, PaymentClaim]]:
        """Yield all claims of all levels."""
        for key, record in sorted(self.levels.items()):
            for claim in record.claims:
                yield key, claim


EMPTY = LevelRecord()


def address_path(family: str, index: int) -> str:
    """Return the path of an address's document."""
    return f"{COLLECTION}/{family}:{index}"


def order_of(payment: "Payment", quote: Quote) -> CoinOrder:
    """Return the order of a payment with this quote."""
    return CoinOrder(
        payment=payment.id,
        network=quote.network,
        asset=quote.asset,
        decimals=quote.decimals,
        due=quote.due,
        rate=rate_of(quote.rate),
        price=payment.terms.price,
        quoted_at=quote.quoted_at,
        locked_until=quote.locked_until,
        expires_at=payment.expires_at,
        package=payment.terms.package,
        credits=payment.terms.credits,
        bonus=payment.terms.bonus,
    )


def address_created(payment: "Payment") -> Create:
    """Return the write that stores the address of a new payment, for the commit that stores the payment.

    The payment must have a quote.
    """
    quote = payment.quote
    assert quote is not None, "a payment on a chain has a quote"
    record = AddressRecord(
        uid=payment.uid,
        family=cast("Family", payment.provider),
        index=quote.index,
        address=quote.address,
        payment=payment.id,
        opened_at=payment.created_at,
        order=order_of(payment, quote),
    )
    return Create(record.path, to_data(record))


def order_changed(document: Document, payment: "Payment") -> Patch:
    """Return the write that stores another quote of the payment for the same address, while nothing has come.

    The commit fails if the address has changed since `document` was read. Raises Conflict if coins have come.
    """
    quote, record = payment.quote, from_data(document.data)
    assert quote is not None, "a payment on a chain has a quote"
    if record.has_coins or record.address != quote.address:
        raise CoinsHaveCome
    changes: Mapping[str, Value] = {"order": _order_data(order_of(payment, quote)), "levels": {}}
    return Patch(document.path, changes, document.version)


def to_data(record: AddressRecord) -> dict[str, Value]:
    """Return the fields of the document. `open_of` is the user while coins are not final, for the sum over a user."""
    return {
        "uid": record.uid,
        "family": record.family,
        "index": record.index,
        "address": record.address,
        "payment": record.payment,
        "opened_at": to_datetime(record.opened_at),
        "order": None if record.order is None else _order_data(record.order),
        "is_swept": bool(record.swept),
        "swept": sorted(record.swept),
        "levels": {":".join(key): _level_data(level) for key, level in sorted(record.levels.items())},
        "transfers": [{**asdict(each), "amount": str(each.amount)} for each in record.transfers],
        "unfinal_cents": record.unfinal_cents,
        "open_of": record.uid if record.unfinal_cents else "",
        "unsettled": sorted(record.unsettled),
        "due_at": None if record.due_at is None else to_datetime(record.due_at),
        "is_for_agents": record.is_for_agents,
        "authorized": [order_data(each) for each in record.authorized],
    }


def from_data(data: Data) -> AddressRecord:
    """Return the address that a stored document describes."""
    stored = cast("Mapping[str, Any]", data)
    due_at = stored.get("due_at")
    return AddressRecord(
        uid=Uid(stored["uid"]),
        family=cast("Literal['evm', 'bitcoin']", stored["family"]),
        index=stored["index"],
        address=stored["address"],
        payment=stored["payment"],
        opened_at=from_datetime(stored["opened_at"]),
        order=_order_from(stored.get("order")),
        swept=frozenset(stored.get("swept", ())),
        levels={_key(name): _level_of(level) for name, level in stored.get("levels", {}).items()},
        transfers=tuple(_transfer_of(each) for each in stored.get("transfers", ())),
        unfinal_cents=stored.get("unfinal_cents", 0),
        unsettled=frozenset(stored.get("unsettled", ())),
        due_at=None if due_at is None else from_datetime(due_at),
        is_for_agents=stored.get("is_for_agents", False),
        authorized=tuple(order_from(each) for each in stored.get("authorized", ())),
    )


def _key(name: str) -> Key:
    network, _, asset = name.partition(":")
    return network, asset


def _order_data(order: CoinOrder) -> dict[str, Value]:
    """Return the stored form of an order."""
    return {
        "payment": order.payment,
        "network": order.network,
        "asset": order.asset,
        "decimals": order.decimals,
        "due": str(order.due),
        "rate": exact_text(order.rate),
        "price": {"minor": order.price.minor, "currency": order.price.currency},
        "quoted_at": to_datetime(order.quoted_at),
        "locked_until": to_datetime(order.locked_until),
        "expires_at": to_datetime(order.expires_at),
        "is_taken": order.is_taken,
        "package": order.package,
        "credits": order.credits,
        "bonus": order.bonus,
    }


def _order_from(stored: Mapping[str, Any] | None) -> CoinOrder | None:
    if stored is None:
        return None
    return CoinOrder(
        **{
            **stored,
            "due": int(stored["due"]),
            "rate": Fraction(stored["rate"]),
            "price": Fiat(**stored["price"]),
            "quoted_at": from_datetime(stored.get("quoted_at", EPOCH)),
            "locked_until": from_datetime(stored["locked_until"]),
            "expires_at": from_datetime(stored["expires_at"]),
        }
    )


AMOUNTS = ("folded", "standing", "final", "lost", "head", "pool", "out", "locked", "graced")
PLAIN = ("folded_claims", "head_since", "locked_at", "graced_at", "has_lock_passed", "has_grace_passed")
"""Fields of `LevelRecord` that are stored as they are; those in `AMOUNTS` are stored as decimal strings."""


def _level_data(level: LevelRecord) -> dict[str, Value]:
    return {
        **{name: str(getattr(level, name)) for name in AMOUNTS},
        **{name: getattr(level, name) for name in PLAIN},
        "mark": None if level.mark is None else asdict(level.mark),
        "gone": None if level.gone is None else asdict(level.gone),
        "claims": [_claim_data(claim) for claim in level.claims],
    }


def _level_of(stored: Mapping[str, Any]) -> LevelRecord:
    mark, gone = stored["mark"], stored["gone"]
    amounts: Mapping[str, Any] = {name: int(stored.get(name, 0)) for name in AMOUNTS}
    return LevelRecord(
        **amounts,
        **{name: stored.get(name, 0) for name in PLAIN},
        mark=None if mark is None else Mark(**mark),
        gone=None if gone is None else GoneBlock(**gone),
        claims=tuple(_claim_of(each) for each in stored["claims"]),
    )


def _claim_data(claim: PaymentClaim) -> dict[str, Value]:
    return {**asdict(claim), "begin": str(claim.begin), "end": str(claim.end), "sources": list(claim.sources)}


def _claim_of(stored: Mapping[str, Any]) -> PaymentClaim:
    parts = {"begin": int(stored["begin"]), "end": int(stored["end"]), "sources": tuple(stored.get("sources", ()))}
    return PaymentClaim(**{**stored, **parts, "price": Fiat(**stored["price"])})


def _transfer_of(stored: Mapping[str, Any]) -> SeenTransferOf:
    return SeenTransferOf(**{**stored, "amount": int(stored["amount"]), "shown": SeenTransfer(**stored["shown"])})


def with_transfers(record: AddressRecord, found: tuple[SeenTransferOf, ...]) -> AddressRecord:
    """Return the record with more evidence; a transaction that is known already is not repeated."""
    known = {(each.network, each.asset, each.shown.hash) for each in record.transfers}
    fresh = tuple(each for each in found if (each.network, each.asset, each.shown.hash) not in known)
    return replace(record, transfers=(*record.transfers, *fresh)[-TRANSFERS_MAX:]) if fresh else record


def order_taken(document: Document) -> Patch:
    """Return the write that notes that the user takes the part that came.

    The commit fails if the address has changed since `document` was read.
    """
    record = from_data(document.data)
    assert record.order is not None, "only an order can be taken"
    order = _order_data(replace(record.order, is_taken=True))
    return Patch(document.path, {"order": order}, document.version)


def review_ended(document: Document, payment: str) -> Patch:
    """Return the write by which an operator accepts the coins of a payment that is under review.

    The commit fails if the address has changed since `document` was read. A payment that is not under review stays as
    it is.
    """
    record = from_data(document.data)
    levels = {
        key: replace(
            level, claims=tuple(replace(each, review="") if each.payment == payment else each for each in level.claims)
        )
        for key, level in record.levels.items()
    }
    return Patch(document.path, {"levels": to_data(replace(record, levels=levels))["levels"]}, document.version)

"""Addresses for refunds: the user names one for each crypto payment, and coins never go back to the sender.

A sender is often an exchange, which could not tell whose coins return. A named address counts after a day, so that a
stolen session cannot lead a refund away unnoticed; after a fresh sign-in the address counts at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from shared.kernel.clock import DAY, MINUTE, Clock, Millis, from_datetime, rfc3339, to_datetime
from shared.kernel.documents import (
    Create,
    Data,
    Document,
    Documents,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    Query,
    Where,
)
from shared.kernel.errors import Conflict, InvalidValue, Unavailable
from shared.kernel.ids import Uid
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import NetworkName
from shared.payments.chains.presets import PRESETS
from shared.payments.payment import Payment
from shared.payments.store import PaymentNotFound, Payments

COLLECTION = "crypto_refund_addresses"
ADDRESSES = "crypto_addresses"
COUNTS_AFTER: Millis = DAY
FRESH_SIGN_IN: Millis = 5 * MINUTE
"""Time after a sign-in during which a named address counts at once."""
RESERVED_BELOW = 2**16
"""EVM addresses below this number belong to nobody: coins sent there are lost."""
ATTEMPTS_MAX = 5

WrittenAddress = Callable[[Network, str], str | None]
"""Function that returns an address in the form of the network, None for a text that is no such address."""


class RefundAddressMissing(Conflict):
    """The user has named no address for the refund of this payment, or the address does not count yet."""

    code = "refund_address_missing"

    def __init__(self, counts_at: Millis | None = None) -> None:
        at = "" if counts_at is None else rfc3339(counts_at)
        told = f"the named one counts from {at}" if at else "none is named for this payment yet"
        super().__init__(f"Coins go back only to an address that the user has named, and {told}.", counts_at=at)


class NoRefundAddressNeeded(Conflict):
    """The payment is not on a chain, so that its money goes back the way it came."""

    code = "no_refund_address_needed"

    def __init__(self) -> None:
        super().__init__("This payment goes back the way it came, so it needs no address.")


class RefundAddressBusy(Unavailable):
    """Others changed the address at the same time."""

    code = "refund_address_busy"

    def __init__(self) -> None:
        super().__init__("The address could not be stored right now; try again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundAddress:
    """Address for the coins of a payment that are sent back. The address counts from `counts_at`."""

    payment: str
    uid: Uid
    network: NetworkName
    asset: str
    address: str
    named_at: Millis
    counts_at: Millis


class RefundAddresses:
    """Addresses for refunds, in `crypto_refund_addresses/{payment}`. Only the last one that was named counts."""

    def __init__(
        self,
        documents: Documents,
        networks: Mapping[NetworkName, Network],
        written: WrittenAddress,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._networks = networks
        self._written = written
        self._clock = clock

    def find(self, payment_id: str) -> RefundAddress | None:
        """Return the address that was named for a payment; None if there is none."""
        document = self._documents.get(_path(payment_id))
        return None if document is None else _from(document)

    def of_user(self, payment_id: str, uid: Uid) -> RefundAddress | None:
        """Return the address that a user named. Raises PaymentNotFound, NoRefundAddressNeeded."""
        self._of_user(payment_id, uid)
        return self.find(payment_id)

    def put(self, payment_id: str, uid: Uid, address: str, signed_in_at: Millis | None) -> RefundAddress:
        """Store the address that a user names, and return the address.

        `signed_in_at` is when the user showed password or code, None if unknown. Raises PaymentNotFound,
        NoRefundAddressNeeded, InvalidValue for an address that is no address on this network, is an address of a
        payment, or is a token's contract.
        """
        payment = self._of_user(payment_id, uid)
        assert payment.quote is not None, "a payment on a chain has a quote"
        written = self.checked(payment.quote.network, address)
        for _ in range(ATTEMPTS_MAX):
            before = self._documents.get(_path(payment_id))
            named = self._named(payment, written, signed_in_at, None if before is None else _from(before))
            data = _data(named)
            try:
                path = _path(payment_id)
                self._documents.commit([Create(path, data) if before is None else Put(path, data, before.version)])
            except (PreconditionFailed, OutcomeUnknown):
                continue
            return named
        raise RefundAddressBusy

    def counting(self, payment: Payment) -> str:
        """Return the address to which a refund of this payment goes. Raises RefundAddressMissing."""
        known = self.find(payment.id)
        if known is None or payment.quote is None or known.network != payment.quote.network:
            raise RefundAddressMissing
        if known.counts_at > self._clock.now():
            raise RefundAddressMissing(known.counts_at)
        return self.checked(known.network, known.address)

    def checked(self, network: NetworkName, address: str) -> str:
        """Return the address in the form of the network. Raises InvalidValue."""
        known = self._networks.get(network)
        if known is None:
            raise InvalidValue("address", "cannot be checked, since this network is not in use any more")
        written = self._written(known, address.strip())
        if written is None:
            raise InvalidValue("address", f"must be an address on {known.title}, exactly as your wallet shows it")
        if known.family == "evm" and int(written, 16) < RESERVED_BELOW:
            raise InvalidValue("address", "must be an address of yours: coins sent to this one are lost")
        if written.lower() in _contracts(self._networks):
            raise InvalidValue("address", "must be an address of yours, not the contract of a token")
        if self._is_ours(written):
            raise InvalidValue("address", "must be an address of your own wallet, not one of ours")
        return written

    def _is_ours(self, address: str) -> bool:
        query = Query(collection=ADDRESSES, where=(Where("address", "==", address),), limit=1)
        return bool(self._documents.query(query))

    def _of_user(self, payment_id: str, uid: Uid) -> Payment:
        payment = self._payments.get(payment_id)
        if payment.uid != uid:
            raise PaymentNotFound
        if payment.quote is None:
            raise NoRefundAddressNeeded
        return payment

    def _named(
        self, payment: Payment, address: str, signed_in_at: Millis | None, before: RefundAddress | None
    ) -> RefundAddress:
        """Return the named address. An address that is named again keeps the earlier time of counting."""
        assert payment.quote is not None, "a payment on a chain has a quote"
        now = self._clock.now()
        is_fresh = signed_in_at is not None and now - signed_in_at <= FRESH_SIGN_IN
        counts_at = now if is_fresh else now + COUNTS_AFTER
        network = payment.quote.network
        if before is not None and (before.address, before.network) == (address, network):
            counts_at = min(counts_at, before.counts_at)
        return RefundAddress(
            payment=payment.id,
            uid=payment.uid,
            network=network,
            asset=payment.quote.asset,
            address=address,
            named_at=now,
            counts_at=counts_at,
        )


def address_view(named: RefundAddress, now: Millis) -> Mapping[str, Any]:
    """Return an address for refunds as the user and operators see the address."""
    return {
        "payment_id": named.payment,
        "network": named.network,
        "asset": named.asset,
        "address": named.address,
        "named_at": named.named_at,
        "counts_at": named.counts_at,
        "counts": named.counts_at <= now,
    }


def _contracts(networks: Mapping[NetworkName, Network]) -> frozenset[str]:
    """Return the contracts of all listed tokens and price feeds, in lower case."""
    return frozenset(each.lower() for network in (*networks.values(), *PRESETS.values()) for each in _of(network))


def _of(network: Network) -> Iterator[str]:
    yield from (asset.contract for asset in network.assets.values() if asset.contract)
    yield from (feed.contract for feed in network.feeds.values())


def _path(payment_id: str) -> str:
    return f"{COLLECTION}/{payment_id}"


def _data(named: RefundAddress) -> Data:
    return {
        "payment": named.payment,
        "uid": named.uid,
        "network": named.network,
        "asset": named.asset,
        "address": named.address,
        "named_at": to_datetime(named.named_at),
        "counts_at": to_datetime(named.counts_at),
    }


def _from(document: Document) -> RefundAddress:
    stored = cast("Mapping[str, Any]", document.data)
    plain: dict[str, Any] = {name: stored[name] for name in ("payment", "uid", "network", "asset", "address")}
    return RefundAddress(
        named_at=from_datetime(stored["named_at"]), counts_at=from_datetime(stored["counts_at"]), **plain
    )

"""Payments for coins that nobody ordered: made in the commit that claims the coins."""

from collections.abc import Mapping, Sequence

from shared.kernel.clock import Millis, to_datetime
from shared.kernel.documents import Create, Value, Write
from shared.kernel.money import Micro
from shared.payments.chains.addresses import AddressRecord, Key
from shared.payments.chains.amounts import decimal_text
from shared.payments.chains.levels import PaymentClaim
from shared.payments.chains.networks import Network
from shared.payments.chains.quote import LevelClaim, Quote
from shared.payments.payment import DEPOSIT, Payment, Terms
from shared.payments.store import fields_of, saga_path, view_of
from shared.sagas.engine.leases import FREE


def deposit(record: AddressRecord, network: Network, key: Key, claim: PaymentClaim, now: Millis) -> Payment:
    """Return the payment of a claim that no order has: credited at the value, without a gift."""
    asset = network.assets[key[1]]
    refs = {"address": record.address, "index": str(record.index), "network": key[0], "asset": key[1]}
    title = f"{decimal_text(claim.size, asset.decimals)} {asset.name} on {network.title}"
    return Payment(
        id=claim.payment,
        uid=record.uid,
        provider=record.family,
        flow="redirect",
        terms=Terms(
            package=DEPOSIT,
            title=title,
            price=claim.price,
            credits=Micro(claim.credits),
            bonus=Micro(0),
            bonus_days=None,
        ),
        fingerprint=DEPOSIT,
        created_at=now,
        expires_at=now,
        refs={**refs, "begin": str(claim.begin)},
        is_opened=True,
        quote=Quote(
            network=key[0],
            asset=asset.name,
            decimals=asset.decimals,
            address=record.address,
            index=record.index,
            due=claim.size,
            rate=claim.rate,
            sources=claim.sources,
            quoted_at=now,
            locked_until=now,
            network_title=network.title,
        ),
        claim=LevelClaim(
            network=key[0],
            asset=asset.name,
            address=record.address,
            index=record.index,
            begin=claim.begin,
            end=claim.end,
        ),
    )


def deposit_writes(payment: Payment, now: Millis) -> Sequence[Write]:
    """Return the writes that create the payment, due at once, so that a sweep settles the payment of a dead worker."""
    data: Mapping[str, Value] = {**fields_of(payment), "saga": None, "due_at": to_datetime(now), "lease": FREE}
    return Create(saga_path(payment.id), data), view_of(payment, now)

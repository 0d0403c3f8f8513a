"""Authorized orders of an address after a look: which have their coins, and which came to nothing. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

from shared.kernel.clock import Millis
from shared.payments.chains.addresses import EMPTY, AddressRecord, Key
from shared.payments.chains.authorizations import AuthorizedOrder, NonceFacts, is_forgettable, with_authorized
from shared.payments.chains.levels import LevelRecord
from shared.payments.chains.networks import Network, Tier
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.tiers import tier_for
from shared.payments.payment import Payment

ORDER_REF = "order"
"""Name of the ref that holds the id of a payment by authorization."""
OVER_MAX = 50
"""Most decided orders that are remembered."""
SMALL_CENTS = 500
"""Value of a user's coins that are not final, up to which the coins of agents count in their first block."""


def address_tier(record: AddressRecord, network: Network, total_cents: int) -> Tier:
    """Return the tier for an address if the user's coins that are not final are worth `total_cents`.

    Small amounts for agents count in their first block.
    """
    if not record.is_for_agents or total_cents > SMALL_CENTS:
        return tier_for(network, Fraction(total_cents, 100))
    return Tier(usd_max=SMALL_CENTS // 100, depth=1)


def open_orders(
    record: AddressRecord, network: NetworkName, read: Mapping[AssetName, int]
) -> tuple[AuthorizedOrder, ...]:
    """Return the orders on a network whose nonces must be looked at.

    `read` are the levels at the depth that counts, as far as they are known. An order waits until the record counts
    all that was read: before, nobody can tell that no coins came.
    """
    return tuple(
        each
        for each in record.authorized
        if each.network == network
        and not each.is_over
        and each.asset in read
        and _counts(record.level((network, each.asset)), read[each.asset])
    )


def _counts(level: LevelRecord, read: int) -> bool:
    return read + level.out <= level.standing


def with_orders(
    record: AddressRecord, facts: Mapping[str, NonceFacts], now: Millis, review: Callable[[Key], str]
) -> AddressRecord:
    """Return the record with the claims of the orders whose coins came, in the order of their arrival here.

    `facts` are by payment; orders without facts stay as they are. An order that had no coins at an earlier look comes
    last: new coins are rather another order's. `review` returns the problem for which an operator must look at new
    coins, "" without one.
    """
    levels, after = dict(record.levels), {each.payment: each for each in record.authorized}
    for order in sorted(record.authorized, key=lambda each: each.state == "unpaid"):
        key, known = (order.network, order.asset), facts.get(order.payment)
        if known is None:
            continue
        before = levels.get(key, EMPTY)
        told = review(key) if known.is_used_deep else ""
        level, after[order.payment] = with_authorized(before, order, known, now, told)
        if level != before:
            levels[key] = level
    return replace(record, levels=levels, authorized=tuple(after.values()))


def without_forgettable(record: AddressRecord, now: Millis) -> AddressRecord:
    """Return the record without the orders that need not be remembered. The payments to settle must be noted."""
    kept = tuple(each for each in record.authorized if not is_forgettable(each, record.unsettled, now))
    return replace(record, authorized=kept)


def undecided(record: AddressRecord) -> tuple[AuthorizedOrder, ...]:
    """Return the orders that are not over, or whose payments do not know the end yet."""
    return tuple(each for each in record.authorized if not each.is_over or each.payment in record.unsettled)


def is_payment_on_its_way(record: AddressRecord, now: Millis) -> bool:
    """Return True if coins may still come for an order of the address, or coins came and are no credits yet."""
    return any(
        each.is_on_its_way(now) or (each.state == "claimed" and each.payment in record.unsettled)
        for each in record.authorized
    )


def with_order(record: AddressRecord, order: AuthorizedOrder) -> AddressRecord:
    """Return the record with one more order. Of those that are decided, only the newest are remembered."""
    known = undecided(record)
    decided = [each for each in record.authorized if each not in known]
    dropped = {each.payment for each in decided[: max(0, len(decided) - OVER_MAX)]}
    kept = tuple(each for each in record.authorized if each.payment not in dropped)
    return replace(record, authorized=(*kept, order))


def is_by_authorization(payment: Payment) -> bool:
    """Return True if a signed authorization pays the payment: then nobody chooses coins, or takes a part."""
    return ORDER_REF in payment.refs

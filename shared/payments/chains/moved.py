"""Payments at an address that a look has moved. Pure."""

from shared.kernel.ids import Uid
from shared.payments.chains.addresses import AddressRecord
from shared.payments.chains.levels import PaymentClaim, states


def moved_payments(before: AddressRecord, after: AddressRecord) -> frozenset[str]:
    """Return the payments whose claims or orders changed; the ordered payment if anything visible changed."""
    known, orders = _claim_states(before), {each.payment: each for each in before.authorized}
    moved = {payment for payment, state in _claim_states(after).items() if known.get(payment) != state}
    moved |= {each.payment for each in after.authorized if orders.get(each.payment) != each}
    is_visible = bool(after.payment) and _visible(before) != _visible(after)
    return frozenset(moved | ({after.payment} if is_visible else set()))


def _claim_states(record: AddressRecord) -> dict[str, tuple[PaymentClaim, object]]:
    return {claim.payment: (claim, state) for level in record.levels.values() for claim, state in states(level)}


def _visible(record: AddressRecord) -> object:
    levels = {key: (level.head, level.standing, level.pool, level.missing) for key, level in record.levels.items()}
    return levels, record.transfers, Uid(record.uid)

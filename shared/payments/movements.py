"""Money that moved after a payment: refunds and disputes, each counted once and remembered by name. Pure.

The lists of providers end (PayPal drops disputes after 180 days) and their status words change. So every reported
movement keeps its last state until the provider reports another state under the same name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from shared.payments.fiat import Fiat
from shared.payments.ports import Dispute, Refund, Truth

State: TypeAlias = Literal["open", "gone", "back"]
"""Condition of a movement.

`open`: undecided, and the credits are set aside. `gone`: the money is lost to the platform. `back`: the money never
left, or came back.
"""
Kind: TypeAlias = Literal["refund", "dispute", "earlier"]
EARLIER = "earlier"
"""Name of the movement that stands for all credits taken back before movements were remembered."""
STATE_OF_REFUND: Mapping[str, State] = {"pending": "open", "succeeded": "gone", "failed": "back"}
STATE_OF_DISPUTE: Mapping[str, State] = {"open": "open", "lost": "gone", "won": "back", "withdrawn": "back"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Refund or dispute. `minor` is the amount in minor units of `currency`."""

    kind: Kind
    minor: int
    currency: str
    state: State


Movements: TypeAlias = Mapping[str, Movement]
"""Mapping of names to movements: `refund:{id}`, `dispute:{id}`."""


def movements_of(truth: Truth) -> Movements:
    """Return all movements that a provider lists now.

    A lost dispute that is also listed as a refund counts as the refund.
    """
    return dict([*map(_of_refund, truth.refunds), *_of_disputes(truth.disputes)])


def merged(before: Movements, told: Movements) -> Movements:
    """Return all known movements after the provider listed `told`: earlier and new ones, each in the newest state.

    A failed refund stays failed, since providers make a new refund instead.
    """
    kept = {
        name: movement
        for name, movement in before.items()
        if name not in told or (movement.kind == "refund" and movement.state == "back")
    }
    return {**told, **kept}


def unexplained(taken: int, told: Movements, currency: str) -> Movements:
    """Return one movement for the part of `taken` (minor units) that no movement in `told` explains; empty without such
    a part.

    Serves payments whose credits were taken back before movements were remembered.
    """
    rest = taken - sum(movement.minor for movement in told.values() if movement.currency == currency)
    return {EARLIER: Movement(kind="earlier", minor=rest, currency=currency, state="gone")} if rest > 0 else {}


def total(movements: Movements, states: Iterable[State], currency: str, kinds: Iterable[Kind] | None = None) -> int:
    """Return the sum in minor units of the movements in these states, this currency and these kinds.

    If `kinds` is None, all kinds count.
    """
    wanted, of_kinds = set(states), None if kinds is None else set(kinds)
    return sum(
        movement.minor
        for movement in movements.values()
        if movement.state in wanted
        and movement.currency == currency
        and (of_kinds is None or movement.kind in of_kinds)
    )


def is_foreign(movements: Movements, currency: str) -> bool:
    """Return True if money moved, or may move, in another currency than the payment's."""
    return any(movement.currency != currency and movement.state != "back" for movement in movements.values())


def _of_refund(refund: Refund) -> tuple[str, Movement]:
    return f"refund:{refund.id}", _movement("refund", refund.amount, STATE_OF_REFUND[refund.status])


def _of_disputes(disputes: Iterable[Dispute]) -> Iterator[tuple[str, Movement]]:
    for dispute in disputes:
        state = STATE_OF_DISPUTE[dispute.status]
        is_told_as_refund = dispute.refund is not None and state == "gone"
        yield f"dispute:{dispute.id}", _movement("dispute", dispute.amount, "back" if is_told_as_refund else state)


def _movement(kind: Kind, amount: Fiat, state: State) -> Movement:
    return Movement(kind=kind, minor=amount.minor, currency=amount.currency, state=state)

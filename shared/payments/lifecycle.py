"""What is to be done about a payment, once its provider has said what is true. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.kernel.clock import DAY, HOUR, MINUTE, Millis
from shared.kernel.documents import Value
from shared.payments.payment import Payment, seen_in
from shared.payments.ports import Truth

Action = Literal["wait", "capture", "park", "top_up", "follow", "refund"]

POLL_FIRST: Millis = MINUTE
POLL_MAX: Millis = HOUR
ACCOUNT_CLOSED = "account_closed"
"""The problem of a payment whose user left before it was credited: its money goes back by itself."""
NOT_RETURNED = "not_returned"
"""The problem of one whose money did not go back so: an operator's to mend."""
OTHER_CURRENCY = "other_currency"
"""The problem of a payment whose money moves in another currency: all of it is set aside until an operator acts."""
LATE_MONEY: Millis = 7 * DAY
"""Events may be lost and money may be late: for so long after its end a checkout is still asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`capture` at the provider; `park` for an operator, `problem` says why; or run the saga of that name.

    `refund` gives back all that is left of money that can never become credits.
    """

    action: Action
    args: Mapping[str, Value] = field(default_factory=dict)
    problem: str = ""


WAIT = Plan(action="wait")


def plan(payment: Payment, truth: Truth, *, is_live: bool, owner: str | None = None) -> Plan:
    """The next thing to do, one at a time: ask again afterwards. `wait`: nothing, until something changes.

    `owner` is the payment that the money became credits for, if it has.
    """
    if payment.applied.is_granted:
        return _plan_after(payment, truth)
    problem = problem_of(payment, truth, is_live=is_live, owner=owner)
    if problem:
        return Plan(action="wait" if payment.problem == problem else "park", problem=problem)
    if truth.stage == "approved":
        return Plan(action="capture")
    seen = seen_in(truth)
    if truth.stage != "paid" or truth.paid is None or seen.leaving >= truth.paid.minor:
        return WAIT
    if payment.problem in {ACCOUNT_CLOSED, NOT_RETURNED}:
        return _plan_return(payment, truth)
    return Plan(action="top_up", args={"money": truth.money, "is_disputed": seen.undecided > 0})


def _plan_after(payment: Payment, truth: Truth) -> Plan:
    """Plan for a payment that was credited: the account is to have the part that is left and undisputed.

    What was taken for a refund that is still on its way stays taken: it was taken first, so that nobody spends it.
    """
    seen, applied = seen_in(truth, payment), payment.applied
    taken = max(seen.gone, min(applied.taken, seen.gone + seen.undecided))
    aside = max(0, seen.undecided - (taken - seen.gone))
    if (applied.taken, applied.aside) != (taken, aside):
        return Plan(
            action="follow", args={"taken": taken, "aside": aside}, problem=payment.problem if seen.is_foreign else ""
        )
    if not seen.is_foreign:
        return WAIT
    is_known = payment.problem == OTHER_CURRENCY
    return Plan(action="wait" if is_known else "park", problem=OTHER_CURRENCY)


def _plan_return(payment: Payment, truth: Truth) -> Plan:
    """What is disputed is not given back as well. What once came back to us is not sent again without an operator."""
    if payment.problem == NOT_RETURNED or seen_in(truth).is_disputed:
        return Plan(action="wait", problem=payment.problem)
    if any(refund.status == "failed" for refund in truth.refunds):
        return Plan(action="park", problem=NOT_RETURNED)
    return Plan(action="refund", problem=ACCOUNT_CLOSED)


def problem_of(payment: Payment, truth: Truth, *, is_live: bool, owner: str | None = None) -> str:
    """Why this money must not become credits without an operator; empty if nothing speaks against it.

    Money that has all gone back is nobody's problem any more.
    """
    if truth.is_live != is_live:
        return "wrong_mode"
    if truth.payment != payment.id:
        return "wrong_payment"
    has_all_gone = truth.paid is not None and seen_in(truth).leaving >= truth.paid.minor
    return "" if truth.stage != "paid" or has_all_gone else _problem_of_money(payment, truth, owner)


def _problem_of_money(payment: Payment, truth: Truth, owner: str | None) -> str:
    if truth.paid is None or truth.money is None:
        return "no_amount"
    if truth.paid.currency != payment.terms.price.currency:
        return "wrong_currency"
    if truth.paid != payment.terms.price:
        return "wrong_amount"
    return "money_of_another" if owner not in {None, payment.id} else ""


def next_poll(payment: Payment, now: Millis) -> Millis | None:
    """When to ask the provider again although nobody nudged; None: only when somebody does."""
    if payment.applied.is_granted or payment.problem:
        return None
    if now >= payment.expires_at + LATE_MONEY:
        return None
    return now + min(POLL_FIRST << min(payment.polls, 10), POLL_MAX)

"""Next step of a payment, decided from the stored payment and the provider's present state. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.kernel.clock import DAY, HOUR, MINUTE, Millis
from shared.kernel.documents import Value
from shared.payments.payment import Payment, seen_in
from shared.payments.ports import Truth

Action = Literal["wait", "capture", "park", "top_up", "follow", "refund"]

POLL_FIRST: Millis = HOUR
"""Age at which a payment is first polled. Then the age doubles from poll to poll."""
POLLED_UNPAID: Millis = 72 * HOUR
"""Age until which an open checkout is polled. PayPal captures an approved order within three days."""
POLLED_ON_THE_WAY: Millis = 30 * DAY
"""Age until which money on its way is polled, and a payment whose provider does not answer."""
OPENED_WITHIN: Millis = 15 * MINUTE
"""Time within which a checkout must be opened. A checkout that was not opened by then never reached the user."""
ACCOUNT_CLOSED = "account_closed"
"""Problem of a payment whose user left before the credits were granted. The money is refunded automatically."""
NOT_RETURNED = "not_returned"
"""Problem of a payment whose automatic refund failed. An operator must return the money."""
REFUND_DUE = "refund_due"
"""Problem of coins whose user left before the credits were granted. A person must send the coins back."""
OTHER_CURRENCY = "other_currency"
"""Problem of a payment whose money moves in another currency. All credits are set aside until an operator acts."""
IGNORED = "ignored"
"""Problem of coins that an operator has decided are not the payer's: nothing is left to do."""
LATE_MONEY: Millis = 7 * DAY
"""Time after the end of a payment on a chain during which the chain is asked again if it could not be asked."""
LATE_EVENT: Millis = 15 * MINUTE
"""Time after a checkout's end from which on an event may announce money that the provider does not show yet."""
GRACE_RETRY: Millis = 10 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class NextAction:
    """Next step of a payment.

    `wait`: do nothing. `capture`: capture the money at the provider. `park`: wait for an operator, for the reason in
    `problem`. Any other action is the name of the saga to run with `args`. The saga `refund` gives back all that is
    left of money that can never become credits.
    """

    action: Action
    args: Mapping[str, Value] = field(default_factory=dict)
    problem: str = ""


WAIT = NextAction(action="wait")


def plan(payment: Payment, truth: Truth, *, is_live: bool, owner: str | None = None) -> NextAction:
    """Return the next single step; after that step, plan again. `wait` means no step until something changes.

    `owner` is the payment that the money already became credits for, None if there is none.
    """
    if payment.applied.is_granted:
        return _plan_after(payment, truth)
    problem = problem_of(payment, truth, is_live=is_live, owner=owner)
    if problem:
        return NextAction(action="wait" if problem in {payment.problem, IGNORED} else "park", problem=problem)
    if truth.stage == "approved":
        return WAIT if payment.is_given_up else NextAction(action="capture")
    seen = seen_in(truth)
    if truth.stage != "paid" or truth.paid is None or seen.leaving >= truth.paid.minor:
        return WAIT
    if payment.problem in {ACCOUNT_CLOSED, NOT_RETURNED, REFUND_DUE}:
        return _plan_return(payment, truth)
    return NextAction(
        action="top_up", args={"money": truth.money, "owner": owner or "", "is_disputed": seen.undecided > 0}
    )


def _plan_after(payment: Payment, truth: Truth) -> NextAction:
    """Plan for a credited payment: the account keeps the credits of the part that is left and undisputed.

    Credits that were taken for a pending refund stay taken, so that nobody spends them.
    """
    seen, applied = seen_in(truth, payment), payment.applied
    taken = max(seen.gone, min(applied.taken, seen.gone + seen.undecided))
    aside = max(0, seen.undecided - (taken - seen.gone))
    if (applied.taken, applied.aside) != (taken, aside):
        return NextAction(
            action="follow", args={"taken": taken, "aside": aside}, problem=payment.problem if seen.is_foreign else ""
        )
    if not seen.is_foreign:
        return WAIT
    is_known = payment.problem == OTHER_CURRENCY
    return NextAction(action="wait" if is_known else "park", problem=OTHER_CURRENCY)


def _plan_return(payment: Payment, truth: Truth) -> NextAction:
    """Plan the refund of money that cannot become credits.

    If the money is disputed, wait: disputed money is not refunded as well. If a refund failed before, park the payment
    for an operator. Coins are sent back by a person.
    """
    if payment.is_on_chain:
        return NextAction(action="wait" if payment.problem == REFUND_DUE else "park", problem=REFUND_DUE)
    if payment.problem == NOT_RETURNED or seen_in(truth).is_disputed:
        return NextAction(action="wait", problem=payment.problem)
    if any(refund.status == "failed" for refund in truth.refunds):
        return NextAction(action="park", problem=NOT_RETURNED)
    return NextAction(action="refund", problem=ACCOUNT_CLOSED)


def problem_of(payment: Payment, truth: Truth, *, is_live: bool, owner: str | None = None) -> str:
    """Return the reason why this money must not become credits without an operator; empty if there is none.

    Money that has all gone back is no longer a problem.
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
    if truth.chain is not None and truth.chain.review:
        return truth.chain.review
    if truth.paid.currency != payment.terms.price.currency:
        return "wrong_currency"
    if truth.paid != payment.terms.price:
        return "wrong_amount"
    return "money_of_another" if owner not in {None, payment.id} else ""


def next_poll(payment: Payment, now: Millis, *, is_unanswered: bool = False) -> Millis | None:
    """Return the time (ms) at which to ask the provider again if no notice comes; None if only a notice leads to
    a question.

    The provider is asked at the ages of 1, 2, 4, 8, … hours. A checkout whose time is over and that its provider calls
    over is not asked about again. `is_unanswered`: the provider did not answer just now.
    """
    if payment.applied.is_granted or payment.problem:
        return None
    if payment.is_on_chain:
        return _next_end(payment, now)
    if not (payment.is_opened or payment.refs or payment.is_over):
        return max(payment.created_at + OPENED_WITHIN, now + MINUTE)
    if payment.is_over and now >= payment.expires_at and not is_unanswered:
        return None
    is_on_its_way = payment.seen.stage in {"pending", "paid"} or is_unanswered
    return _next_age(payment.created_at, now, POLLED_ON_THE_WAY if is_on_its_way else POLLED_UNPAID)


def poll_after_event(payment: Payment, happened_at: Millis, now: Millis) -> Millis | None:
    """Return when to ask again after an event of `happened_at` that brought no news; None if that is not needed.

    An event long after the checkout's end may announce money that the provider does not show yet.
    """
    is_late = happened_at >= payment.expires_at + LATE_EVENT
    if not is_late or payment.is_on_chain or payment.applied.is_granted or payment.problem:
        return None
    return _next_age(happened_at, now, POLLED_UNPAID)


def _next_age(since: Millis, now: Millis, until: Millis) -> Millis | None:
    """Return the next of the times 1, 2, 4, 8, … hours after `since`; None if it would be more than `until` after."""
    age = POLL_FIRST
    while since + age <= now:
        age *= 2
    return since + age if age <= until else None


def _next_end(payment: Payment, now: Millis) -> Millis | None:
    """Return when the next of lock and grace ends. A watcher nudges meanwhile, so the chain is not polled.

    If grace has ended and the payment has not, the chain could not be asked: look again after `GRACE_RETRY`.
    """
    locked_until = payment.expires_at if payment.quote is None else payment.quote.locked_until
    ends = [at for at in (locked_until, payment.expires_at) if at > now]
    if ends:
        return min(ends)
    is_over = payment.is_over or now >= payment.expires_at + LATE_MONEY
    return None if is_over else now + GRACE_RETRY

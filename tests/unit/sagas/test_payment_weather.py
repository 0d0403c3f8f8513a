"""Check that the schedule alone ends a payment if any one read or commit fails.

Method: each read and each commit of a payment's story fails once, unclearly or late.
"""

from contextlib import suppress

import pytest

from shared.kernel.clock import SECOND
from shared.kernel.errors import DomainError
from shared.payments.ports import ProviderName
from shared.sagas.payments.payment_claims import LEASE_SECONDS
from tests.support.ledger_faults import COMMIT_FAULTS, READ_FAULTS, Weather, once
from tests.support.shop import BONUS, CREDITS, Shop
from tests.unit.sagas.test_payment_faults import STORIES, Story, refund

CASES = [("read", fault) for fault in READ_FAULTS] + [("commit", fault) for fault in COMMIT_FAULTS]
LATE_BY_CALLS = 3
CALLS_MAX = 80


def told_with_one_fault(story: Story, provider: ProviderName, case: tuple, number: int) -> bool:
    """Whether there was such a call at all. Callers are told typed errors only; nobody asks again."""
    kind, fault = case
    shop = Shop()
    payment = story.before(shop, provider)
    if story.act is refund:
        minutes(shop)  # all events are heard, so that no later one is an occasion to look at the payment
    weather = Weather(shop.documents, once(kind, number, fault), delay=LATE_BY_CALLS)
    is_refused = True
    with suppress(DomainError):
        story.act(shop.instance(weather), payment)
        is_refused = False
    weather.settle()
    minutes(shop)

    found = shop.instance().payments.get(payment)
    refunds = len(shop.providers[provider].truth(found.refs).refunds)
    end = shop.status(found), shop.money(), refunds
    never_begun = ("settled", (CREDITS + BONUS, 0, 0), 0) if is_refused and story.status != "disputed" else None
    assert end in {(story.status, story.money, story.refunds), never_begun}, f"{case} at call {number}"
    assert shop.providers[provider].captures[payment] == 1
    assert [alert.event for alert in shop.alerts.raised if alert.event != "payment_disputed"] == []
    return sum(call.kind == kind for call in weather.calls) >= number


def minutes(shop: Shop, times: int = 5) -> None:
    """Nobody but the schedule comes by."""
    for _ in range(times):
        shop.clock.advance(LEASE_SECONDS * SECOND)
        shop.every_minute()


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_in_any_weather_the_schedule_alone_ends_what_was_begun(name, provider):
    for case in CASES:
        calls = 0
        while told_with_one_fault(STORIES[name], provider, case, calls + 1):
            calls += 1
        assert 1 <= calls <= CALLS_MAX

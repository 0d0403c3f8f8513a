"""What a checkout reads decides as before: a repeated request is found, and a frozen or closed account is refused."""

import pytest

from shared.kernel.ids import OperationId
from shared.ledger.commands import Close, Freeze
from shared.ledger.errors import AccountClosed, AccountFrozen
from shared.sagas.payments.purchase_places import OPEN_CHECKOUTS_MAX
from tests.support.ledgers import UID
from tests.support.shop import BONUS, CREDITS, PACKAGE, Shop

ALL = CREDITS + BONUS


@pytest.fixture
def shop():
    return Shop()


def test_repeated_checkout_of_a_limited_package_stays_payable(shop):
    shop.instance().packages.put("once", {**PACKAGE, "per_user_limit": 1})
    first = shop.begin("stripe", package="once")
    shop.instance().cancellations.cancel(first.id)

    again = shop.begin("stripe", package="once")
    shop.stripe.approve(first.id)

    assert again.id == first.id
    assert shop.instance().settlement.settle(first.id).applied.is_granted


def test_repeated_checkout_is_found_when_all_places_are_taken(shop):
    first = shop.begin("stripe", "0")
    for number in range(1, OPEN_CHECKOUTS_MAX):
        shop.begin("stripe", str(number))

    assert shop.begin("stripe", "0").checkout_url == first.checkout_url


def test_repeated_checkout_is_found_when_the_account_is_frozen(shop):
    first = shop.begin("stripe")
    shop.instance().ledger.execute(UID, Freeze(operation=OperationId("ice")))

    assert shop.begin("stripe").checkout_url == first.checkout_url


@pytest.mark.parametrize(("command", "refusal"), [(Freeze, AccountFrozen), (Close, AccountClosed)])
def test_checkout_is_refused_when_the_account_takes_no_purchase(shop, command, refusal):
    shop.instance().ledger.execute(UID, command(operation=OperationId("end")))

    with pytest.raises(refusal):
        shop.begin("stripe")

    assert shop.stripe.calls["open"] == 0


def test_notice_changes_nothing_when_its_event_comes_again(shop):
    payment = shop.begin("stripe")
    shop.stripe.approve(payment.id)
    [notice, *_] = shop.stripe.events
    shop.instance().inbox.store(notice)
    brought = shop.instance().inbox.get(f"stripe:{notice.id}")
    handled = [shop.instance().inbox.get(f"stripe:{notice.id}")]

    for _ in range(2):
        shop.instance().handler.handle(brought.id, brought)
        handled.append(shop.instance().inbox.get(brought.id))

    assert [each.data["status"] for each in handled] == ["new", "done", "done"]
    assert handled[1].version == handled[2].version
    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))

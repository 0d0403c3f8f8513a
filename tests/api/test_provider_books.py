"""The comparison with providers' listings, as operators read it in the books of a day."""

from dataclasses import replace

import pytest

from shared.kernel.clock import DAY
from shared.kernel.ids import operation_id
from shared.payments.fiat import Fiat
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.payments.checkout import PackageOrder
from tests.api.world import World
from tests.support.adapters import replace_adapters

PACKAGE = {"title": "T", "price_minor": 1000, "currency": "USD", "credits": 1000}


@pytest.fixture
def stripe(world: World) -> MemoryProvider:
    provider = MemoryProvider(world.clock, "stripe")
    replace_adapters(world.services, payment_providers={"stripe": provider})
    return provider


@pytest.fixture
def bought(world: World, alice, stripe) -> str:
    """A payment on a day that is compared, behind a first day."""
    end_day(world)
    world.services.payments.packages.put("small", {**PACKAGE, "bonus": 0, "bonus_days": None})
    wanted = PackageOrder(
        uid=alice.uid, package="small", provider="stripe", flow="redirect", success_url="u", cancel_url="u"
    )
    payment = world.services.payments.checkouts.begin_checkout(wanted, operation_id("k"), "f").id
    stripe.approve(payment)
    world.services.payments.settlement.settle(payment)
    return payment


def end_day(world: World) -> None:
    """Close the present day, and compare it."""
    world.services.jobs.run_schedule("every_minute")
    now = world.clock.now()
    world.clock.advance(DAY - now % DAY + DAY // 3)
    for _ in range(3):
        world.services.jobs.run_schedule("every_minute")


def provider_day(world: World):
    (told,) = world.person("auditor").get("/admin/books/latest").json["providers"]
    return told


def test_day_without_a_difference_is_compared(world, stripe, bought):
    end_day(world)

    told = provider_day(world)
    assert (told["provider"], told["status"], told["items"]) == ("stripe", "compared", [])
    assert told["listed"] == [{"currency": "USD", "came_in": "10.00", "went_out": "0.00", "lines": 1}]
    assert told["granted"] == told["flow"]


def test_refund_that_nobody_knows_is_named_with_its_user(world, alice, stripe, bought):
    (line,) = stripe.moved
    stripe.moved.append(replace(line, id="txn_x", amount=Fiat(1, "USD"), is_out=True))
    end_day(world)

    told = provider_day(world)
    (item,) = told["items"]
    assert (told["status"], item["payment"], item["uid"]) == ("differs", bought, alice.uid)
    assert (item["finding"], item["state"], item["net_amount"]) == ("outgoing_missing_here", "differs", "9.99")


def test_day_whose_provider_is_down_is_open_with_a_reason(world, stripe, bought):
    stripe.fail_next("listed_money", 99)
    end_day(world)

    told = provider_day(world)
    assert (told["status"], told["reason"]) == ("open", "provider_unavailable")

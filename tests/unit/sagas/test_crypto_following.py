"""Coins that come to an address become the owner's credits once, and follow the chain until it is final."""

from dataclasses import replace
from fractions import Fraction

import pytest

from shared.kernel.clock import HOUR, MINUTE, SECOND, parse_rfc3339
from shared.kernel.documents import Put
from shared.kernel.ids import OperationId
from shared.ledger.commands import Close
from shared.payments.chains.outages import Outage
from shared.payments.chains.ports import ChainUnavailable
from shared.payments.chains.sources import Sources
from shared.payments.chains.watch_documents import look_data, look_in, look_path
from shared.payments.fiat import Fiat
from shared.payments.payment import status_of
from shared.payments.problems import problem_sentence
from shared.sagas.payments.crypto_following import NothingToTake
from tests.support.coins import FEE_BONUS, FEE_CREDITS, GRACE, LOCK, CoinShop, atomic

ALL = FEE_CREDITS + FEE_BONUS
PAID_IN = [("base", "USDC"), ("base", "ETH"), ("bitcoin", "BTC")]
EACH = pytest.mark.parametrize(("network", "asset"), PAID_IN)


@pytest.fixture
def shop() -> CoinShop:
    return CoinShop()


def paid(shop, network="base", asset="USDC", part=Fraction(1)):
    """An order, and a transfer of a part of the due amount that is deep enough."""
    payment = shop.order(network, asset)
    shop.send(payment, int(payment.quote.due * part))
    return shop.deep(payment)


def after_grace(shop, payment):
    shop.clock.advance(LOCK + GRACE + SECOND)
    return shop.deep(payment)


@EACH
def test_the_due_amount_becomes_the_package(shop, network, asset):
    payment = paid(shop, network, asset)

    assert shop.view(payment)["status"] == "settled"
    assert shop.money() == (ALL, 0, 0)
    assert shop.deposits(payment) == []


@EACH
def test_half_a_percent_less_is_the_package_and_more_is_missing(shop, network, asset):
    enough = paid(shop, network, asset, Fraction(996, 1000))
    short = paid(shop, network, asset, Fraction(993, 1000))

    assert shop.view(enough)["status"] == "settled"
    assert shop.view(short)["status"] == "pending"
    assert shop.view(short)["crypto"]["state"] == "partial"


@EACH
def test_several_parts_become_the_package_once_whole(shop, network, asset):
    payment = paid(shop, network, asset, Fraction(1, 2))
    partial = shop.view(payment)["crypto"]
    assert (partial["state"], partial["confirmations"]) == ("partial", 40)
    assert shop.money() == (0, 0, 0)
    shop.send(payment, payment.quote.due - payment.quote.due // 2)

    shop.deep(payment)

    assert shop.view(payment)["status"] == "settled"
    assert shop.money() == (ALL, 0, 0)


@EACH
def test_a_part_becomes_its_share_when_grace_ends(shop, network, asset):
    payment = paid(shop, network, asset, Fraction(1, 2))

    after_grace(shop, payment)

    view = shop.view(payment)
    assert (view["status"], view["price"]["amount"], view["bonus"]) == ("settled", "5.00", "0")
    assert shop.money() == (FEE_CREDITS // 2, 0, 0)


def test_a_part_becomes_its_share_when_its_user_takes_it(shop):
    payment = paid(shop, part=Fraction(1, 4))

    shop.services().crypto.follower.take(payment.id, shop.uid)

    assert shop.view(payment)["status"] == "settled"
    assert shop.money() == (FEE_CREDITS // 4, 0, 0)
    with pytest.raises(NothingToTake):
        shop.services().crypto.follower.take(payment.id, shop.uid)


def test_nothing_can_be_taken_before_coins_came(shop):
    payment = shop.order()

    with pytest.raises(NothingToTake):
        shop.services().crypto.follower.take(payment.id, shop.uid)


@EACH
def test_more_than_due_is_the_package_and_a_deposit(shop, network, asset):
    payment = paid(shop, network, asset, Fraction(3, 2))

    [deposit] = shop.deposits(payment)

    assert status_of(deposit) == "settled"
    assert deposit.terms.price.minor in {499, 500}
    assert shop.money() == (ALL + deposit.terms.credits, 0, 0)
    assert [line["package_id"] for line in shop.view(payment)["crypto"]["lines"]] == ["small", "deposit"]


@EACH
def test_a_second_payment_weeks_later_is_a_deposit(shop, network, asset):
    payment = paid(shop, network, asset)
    shop.clock.advance(600 * HOUR)
    shop.send(payment, payment.quote.due)

    shop.deep(payment)

    [deposit] = shop.deposits(payment)
    assert (status_of(deposit), deposit.terms.bonus) == ("settled", 0)
    assert shop.money()[0] == ALL + deposit.terms.credits


def test_coins_after_grace_are_a_deposit_at_the_rate_then(shop):
    payment = shop.order("base", "ETH")
    after_grace(shop, payment)
    assert shop.view(payment)["status"] == "expired"
    shop.price("ETH", "1250")
    shop.clock.advance(MINUTE)
    shop.send(payment, payment.quote.due)

    shop.deep(payment)

    [deposit] = shop.deposits(payment)
    assert deposit.terms.price.minor in {500, 501}
    assert shop.view(payment)["status"] == "expired"
    assert "rate of that time" in shop.view(payment)["crypto"]["sentence"]


@pytest.mark.parametrize(("rate", "is_whole"), [("2600", True), ("2451", True), ("2449", False)])
def test_coins_within_grace_keep_the_rate_unless_much_worse(shop, rate, is_whole):
    payment = shop.order("base", "ETH")
    shop.clock.advance(LOCK + MINUTE)
    shop.price("ETH", rate)
    shop.send(payment, payment.quote.due)

    shop.deep(payment)

    assert (shop.view(payment)["status"] == "settled") is is_whole


def test_another_asset_or_network_becomes_a_deposit_and_is_told(shop):
    payment = shop.order("base", "USDC")
    shop.send(payment, atomic(shop.networks["polygon"], "USDT", "9"), "polygon", "USDT")

    shop.deep(payment)

    [deposit] = shop.deposits(payment)
    assert (deposit.terms.price, status_of(deposit)) == (Fiat(900, "USD"), "settled")
    assert "USDT on Polygon came instead" in shop.view(payment)["crypto"]["sentence"]


def test_dust_counts_once_its_sum_passes_the_minimum(shop):
    payment = paid(shop)
    least = shop.networks["base"].minimum_usd_cents
    for _ in range(2):
        shop.send(payment, (least - 1) * 10_000)
        shop.deep(payment)

    deposits = shop.deposits(payment)

    assert [each.terms.price.minor for each in deposits] == [2 * (least - 1)]


# The chain turns -----------------------------------------------------------------------------------------------------


def confirmed(shop, network="base", asset="USDC"):
    """An order that is credited and not final yet."""
    payment = shop.order(network, asset)
    shop.send(payment, payment.quote.due)
    shop.chains[network].mine(5 if network == "bitcoin" else 10)
    return shop.follow(payment)


@pytest.fixture
def early(shop, monkeypatch):
    """A shop whose final blocks are far behind, so that a credited payment can be reorganised."""
    monkeypatch.setattr("shared.platform.memory.chain.FINAL_DEPTH", 30)
    return shop


def test_a_credited_payment_is_suspended_while_gone_and_back_when_it_returns(early):
    payment = confirmed(early)
    assert early.money() == (ALL, 0, 0)
    early.chains["base"].reorg(10, keep=None, delay=10)

    looks = [early.follow(payment)]
    suspended_after_one = early.money() != (ALL, 0, 0)
    early.clock.advance(3 * SECOND)
    looks.append(early.follow(payment))

    assert not suspended_after_one
    assert early.money() == (0, ALL, 0)
    assert early.view(payment)["status"] == "taken_back"
    assert "set aside until it returns" in early.view(payment)["crypto"]["sentence"]
    early.chains["base"].mine(12)
    early.follow(payment)
    assert early.money() == (ALL, 0, 0)
    assert early.view(payment)["status"] == "settled"
    early.check_conserved(payment)


def test_a_payment_that_finality_passes_without_is_taken_back_and_given_back_if_it_comes(early):
    payment = confirmed(early)
    early.chains["base"].reorg(10, keep=[])
    early.follow(payment)
    early.clock.advance(3 * SECOND)
    early.follow(payment)
    assert early.money() == (0, ALL, 0)

    early.deep(payment)

    assert early.money() == (0, 0, 0)
    assert "for good" in early.view(payment)["crypto"]["sentence"]
    early.check_conserved(payment)
    early.send(payment, payment.quote.due)
    early.deep(payment)
    assert early.money() == (ALL, 0, 0)
    assert early.deposits(payment) == []


def test_a_reorg_before_credit_changes_nothing(shop):
    payment = shop.order()
    shop.send(payment, payment.quote.due)
    shop.chains["base"].mine(3)
    shop.follow(payment)
    shop.chains["base"].reorg(4, keep=[])

    shop.deep(payment)

    assert shop.view(payment)["crypto"]["state"] == "waiting"
    assert shop.money() == (0, 0, 0)


def test_the_operators_sweep_moves_no_credit_and_later_coins_are_reviewed(early):
    payment = confirmed(early)
    early.chains["base"].sweep(payment.quote.address)
    early.chains["base"].mine(20)

    early.follow(payment)
    early.clock.advance(MINUTE)
    early.deep(payment)

    assert early.money() == (ALL, 0, 0)
    early.send(payment, payment.quote.due)
    early.deep(payment)
    [deposit] = early.deposits(payment)
    assert (deposit.problem, status_of(deposit)) == ("address_swept", "confirming")
    assert early.money() == (ALL, 0, 0)
    assert "address_swept" in {alert.event for alert in early.alerts.raised}


def test_a_sweep_that_a_stricter_tier_does_not_see_yet_brings_no_coins(early, monkeypatch):
    monkeypatch.setattr("shared.platform.memory.chain.SAFE_DEPTH", 20)
    monkeypatch.setattr("shared.platform.memory.chain.FINAL_DEPTH", 60)
    payment, other = confirmed(early), early.order("base", "USDC", 90_000)
    early.chains["base"].mine(15)
    early.chains["base"].sweep(payment.quote.address)
    early.chains["base"].mine(12)
    early.follow(payment)
    early.send(other, other.quote.due)
    early.chains["base"].mine()
    early.follow(other)

    early.follow(payment)  # now by the safe block, which is older than the sweep

    assert early.deposits(payment) == []
    assert early.record(payment).level(("base", "USDC")).standing == payment.quote.due


def test_a_sweep_that_leaves_the_chain_brings_no_coins(early):
    payment = confirmed(early)
    early.chains["base"].sweep(payment.quote.address)
    early.chains["base"].mine(10)
    early.follow(payment)
    early.chains["base"].reorg(12, keep=[])
    early.chains["base"].mine(12)

    early.deep(payment)
    early.send(payment, payment.quote.due)
    early.deep(payment)

    assert [deposit.claim.begin for deposit in early.deposits(payment)] == [payment.quote.due]
    assert early.record(payment).level(("base", "USDC")).standing == 2 * payment.quote.due


def test_a_chain_that_cannot_be_asked_leaves_everything_as_it_was(shop):
    payment = shop.order()
    shop.send(payment, payment.quote.due)
    shop.chains["base"].mine(12)
    shop.chains["base"].is_unavailable(True)

    shop.follow(payment)
    assert shop.money() == (0, 0, 0)
    shop.chains["base"].is_unavailable(False)
    shop.follow(payment)

    assert shop.money() == (ALL, 0, 0)


def test_a_part_that_is_taken_waits_for_its_depth(shop):
    payment = shop.order()
    shop.send(payment, payment.quote.due // 2)
    shop.chains["base"].mine()

    shop.services().crypto.follower.take(payment.id, shop.uid)

    assert shop.view(payment)["status"] == "confirming"
    assert shop.money() == (0, 0, 0)
    shop.deep(payment)
    assert shop.money() == (FEE_CREDITS // 2, 0, 0)


def test_a_worker_with_an_older_look_does_not_undo_a_later_one(early):
    payment = confirmed(early)
    looks = early.services().crypto.looks
    older = looks.look("evm", payment.quote.index)
    early.chains["base"].reorg(10, keep=[])
    early.follow(payment)
    early.clock.advance(3 * SECOND)
    early.follow(payment)
    assert early.money() == (0, ALL, 0)

    services = early.services()
    with services.crypto.looks.remembered(older):
        services.payments.settlement.settle(payment.id)

    assert early.money() == (0, ALL, 0)


def test_an_operator_accepts_coins_that_came_after_a_sweep(early):
    payment = confirmed(early)
    early.chains["base"].sweep(payment.quote.address)
    early.deep(payment)
    early.send(payment, payment.quote.due)
    early.deep(payment)
    [deposit] = early.deposits(payment)
    assert "Accept them" in problem_sentence(deposit)

    early.services().crypto.follower.accept(deposit.id)

    assert status_of(early.deposits(payment)[0]) == "settled"
    assert early.money() == (ALL + FEE_CREDITS, 0, 0)


def test_coins_of_a_user_who_left_are_parked_for_a_person(shop):
    payment = shop.order()
    shop.services().credits.ledger.execute(shop.uid, Close(operation=OperationId("bye")))
    shop.send(payment, payment.quote.due)

    shop.deep(payment)

    parked = shop.now(payment)
    assert parked.problem == "refund_due"
    assert "send the coins from your wallet" in problem_sentence(parked)
    assert shop.view(payment)["crypto"]["state"] == "review"


def test_locks_stand_still_while_the_network_is_out(shop):
    payment = shop.order("base", "ETH")
    data = look_data(replace(look_in(None), outages=(Outage(begin=shop.clock.now(), end=None),)))
    shop.services().ports.documents().commit([Put(look_path("base"), data)])
    shop.clock.advance(LOCK + GRACE + MINUTE)
    shop.price("ETH", "2000")
    shop.send(payment, payment.quote.due)

    shop.deep(payment)

    assert shop.view(payment)["status"] == "settled"
    assert shop.money() == (ALL, 0, 0)


def test_payer_is_told_the_lock_as_an_outage_has_moved_its_end(shop):
    payment = shop.order("base", "ETH")
    out, back = shop.clock.now() + MINUTE, shop.clock.now() + 31 * MINUTE + 20 * SECOND
    data = look_data(replace(look_in(None), outages=(Outage(begin=out, end=back),)))
    shop.services().ports.documents().commit([Put(look_path("base"), data)])
    before = shop.view(payment)["crypto"]["locked_until"]
    shop.clock.advance(LOCK + GRACE + MINUTE)
    shop.chains["base"].mine()

    shop.deep(payment)

    shown = shop.view(payment)["crypto"]
    assert parse_rfc3339(shown["locked_until"]) - parse_rfc3339(before) == 30 * MINUTE
    assert shown["state"] == "waiting"


@pytest.mark.parametrize(("seconds", "is_whole"), [(0, True), (1, False)])
def test_the_lock_ends_to_the_second_by_the_time_of_the_block(shop, seconds, is_whole):
    payment = shop.order("base", "ETH")
    shop.clock.advance(LOCK + seconds * SECOND)
    shop.send(payment, payment.quote.due)
    shop.chains["base"].mine()
    shop.clock.advance(MINUTE)
    shop.price("ETH", "2000")

    shop.deep(payment)

    assert (shop.view(payment)["status"] == "settled") is is_whole


@pytest.mark.parametrize(("seconds", "status"), [(0, "settled"), (1, "expired")])
def test_grace_ends_to_the_second_by_the_time_of_the_block(shop, seconds, status):
    payment = shop.order()
    shop.clock.advance(LOCK + GRACE + seconds * SECOND)
    shop.send(payment, payment.quote.due)
    shop.chains["base"].mine()
    shop.clock.advance(MINUTE)

    shop.deep(payment)

    assert shop.view(payment)["status"] == status
    assert len(shop.deposits(payment)) == seconds


def test_bitcoin_keeps_the_rate_of_its_first_sight_for_six_hours(shop):
    early, late = shop.order("bitcoin", "BTC"), shop.order("bitcoin", "BTC")
    for payment in (early, late):
        shop.send(payment, payment.quote.due)
        assert shop.follow(payment).chain.state == "pool"
    shop.price("BTC", "50000")
    shop.clock.advance(2 * HOUR)
    pool, shop.chains["bitcoin"]._pool = shop.chains["bitcoin"]._pool[1:], shop.chains["bitcoin"]._pool[:1]
    shop.deep(early)
    shop.chains["bitcoin"]._pool = pool
    shop.clock.advance(5 * HOUR)
    shop.deep(late)

    assert shop.view(early)["price"]["amount"] == "10.00"
    assert shop.view(late)["price"]["amount"] == "8.33"


def test_a_transaction_that_is_replaced_in_the_pool_becomes_nothing(shop):
    payment = shop.order("bitcoin", "BTC")
    sent = shop.send(payment, payment.quote.due)
    assert shop.follow(payment).chain.state == "pool"
    shop.chains["bitcoin"].drop(sent)

    after_grace(shop, payment)

    assert shop.view(payment)["status"] == "expired"
    assert shop.money() == (0, 0, 0)


def test_splitting_one_sum_into_many_payments_does_not_lower_the_tier(shop, monkeypatch):
    monkeypatch.setattr("shared.platform.memory.chain.SAFE_DEPTH", 20)
    payments = [shop.order("ethereum", "USDC", 9_000) for _ in range(3)]
    for payment in payments:
        shop.send(payment, payment.quote.due)
    shop.chains["ethereum"].mine()
    for payment in payments:
        shop.follow(payment)
    shop.chains["ethereum"].mine(5)  # deep enough for 100 dollars, and not for 270

    for payment in payments:
        shop.follow(payment)

    assert shop.money() == (0, 0, 0)


def test_a_reorg_deeper_than_final_takes_nothing_and_is_told(shop):
    payment = paid(shop)
    shop.chains["base"].reorg(45, keep=[])
    shop.follow(payment)
    shop.clock.advance(3 * SECOND)

    shop.follow(payment)

    assert shop.money() == (ALL, 0, 0)
    assert shop.view(payment)["status"] == "settled"
    assert "chain_below_final" in {alert.event for alert in shop.alerts.raised}


def test_a_network_taken_out_of_use_leaves_its_payments_as_they_are(shop):
    payment = paid(shop)
    del shop.chains["base"]

    shop.follow(payment)
    shop.services().payments.settlement.settle(payment.id)

    assert shop.view(payment)["crypto"]["unavailable"]
    assert shop.view(payment)["status"] == "settled"
    assert shop.money() == (ALL, 0, 0)


def test_coins_whose_price_is_unknown_are_looked_at_until_a_price_is_known(shop):
    payment = paid(shop)
    shop.send(payment, payment.quote.due)
    for chain in shop.chains.values():
        chain.rates.pop("USDC", None)
    shop.spot.fail()
    shop.clock.advance(HOUR)
    shop.deep(payment)
    assert shop.deposits(payment) == []

    shop.spot.fail("")
    shop.price("USDC", "1")
    shop.clock.advance(HOUR)
    shop.every_minute()

    assert shop.money() == (ALL + FEE_CREDITS, 0, 0)


def test_an_address_stays_small_however_often_coins_come(shop, monkeypatch):
    monkeypatch.setattr("shared.payments.chains.levels.CLAIMS_MAX", 3)
    payment = paid(shop)

    for _ in range(6):
        shop.send(payment, payment.quote.due)
        shop.deep(payment)

    level = shop.record(payment).level(("base", "USDC"))
    assert (len(level.claims), level.folded_claims, level.end) == (3, 4, 7 * payment.quote.due)
    assert shop.money() == (ALL + 6 * FEE_CREDITS, 0, 0)
    shop.services().payments.settlement.settle(payment.id)
    assert shop.view(payment)["status"] == "settled"


# One of two sources ---------------------------------------------------------------------------------------------------


class Forgetful:
    """Source that tells each level as nothing."""

    def __init__(self, chain):
        self._chain = chain

    def __getattr__(self, name):
        return getattr(self._chain, name)

    def levels(self, block, addresses, assets):
        return dict.fromkeys(self._chain.levels(block, addresses, assets), 0)


class Silent(Forgetful):
    """Source that gives no answer."""

    def block(self, at):
        raise ChainUnavailable("base", "silent")

    def levels(self, block, addresses, assets):
        raise ChainUnavailable("base", "silent")


class Swindler(Forgetful):
    """Source that tells that everything was sent away from each address."""

    def spent(self, block, addresses):
        return list(addresses)


def test_one_source_alone_tells_no_sweep_of_coins_that_are_not_final(early):
    payment = confirmed(early)
    chain = early.chains["base"]
    early.served["base"] = Sources([Silent(chain), Swindler(chain)], lag=MINUTE)
    chain.mine()
    early.follow(payment)
    del early.served["base"]

    early.deep(payment)

    assert early.record(payment).swept == frozenset()
    assert early.deposits(payment) == []


class Early(Silent):
    """Source that calls its newest block final."""

    def block(self, at):
        return self._chain.block("latest" if at == "finalized" else at)

    def levels(self, block, addresses, assets):
        return self._chain.levels(block, addresses, assets)


class Shy(Early):
    """Source that does not answer which block is final."""

    def block(self, at):
        if at == "finalized":
            raise ChainUnavailable("base", "silent")
        return self._chain.block(at)


def test_one_source_does_not_tell_alone_what_is_final_of_a_large_sum(early):
    payment = early.order("base", "USDC", 90_000)
    early.send(payment, payment.quote.due)
    early.chains["base"].mine(20)
    early.served["base"] = Sources([Early(early.chains["base"]), Shy(early.chains["base"])], lag=MINUTE)

    early.follow(payment)

    assert early.record(payment).level(("base", "USDC")).final == 0


def test_coins_that_could_not_be_read_deep_count_for_the_tier_of_others(shop):
    large, small = shop.order("base", "USDC", 90_000), shop.order("base", "USDC", 9_000)
    shop.send(large, large.quote.due)
    shop.send(small, small.quote.due)
    chain = shop.chains["base"]
    chain.mine()
    shop.served["base"] = Sources([Silent(chain), chain], lag=MINUTE)

    shop.follow(large)  # only one source answers, which is not enough for so much

    assert shop.record(large).unfinal_cents == 90_000


def test_one_source_that_tells_nothing_is_no_sweep_while_the_other_is_silent(shop):
    payment = paid(shop)
    chain = shop.chains["base"]
    shop.served["base"] = Sources([Silent(chain), Forgetful(chain)], lag=MINUTE)
    for _ in range(3):
        shop.clock.advance(MINUTE)
        shop.deep(payment)
    del shop.served["base"]
    shop.deep(payment)

    assert shop.record(payment).swept == frozenset()
    assert shop.deposits(payment) == []
    assert shop.money() == (ALL, 0, 0)

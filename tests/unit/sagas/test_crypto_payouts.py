"""Refunds in coins: whatever the operator does, and whatever the chain does, credits and coins agree."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.kernel.clock import DAY, MINUTE
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import OperationId, Uid, operation_id
from shared.ledger.commands import Close
from shared.payments.chains.payouts import (
    Payout,
    PayoutIsOut,
    PayoutNotFound,
    PayoutNotShown,
    TransactionServesAnother,
)
from shared.payments.chains.refund_addresses import RefundAddressMissing
from shared.payments.payment import Payment, share, status_of
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.payouts import CoinsNotFinal
from shared.sagas.payments.refunds import NotRefundable, RefundAsked, refund_id
from tests.support.coins import FEE_BONUS, FEE_CREDITS, CoinShop

ALL = FEE_CREDITS + FEE_BONUS
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
OTHER = "0x8617E340B3D01FA5F11F306F4090FD50E238070D"
ON_BITCOIN = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


@pytest.fixture
def shop():
    return CoinShop()


def paid(shop: CoinShop, network: str = "base", asset: str = "USDC", address: str = WALLET) -> Payment:
    """A credited payment whose user has named an address that counts."""
    payment = shop.order(network, asset)
    assert payment.quote is not None
    shop.send(payment, payment.quote.due)
    shop.deep(payment)
    shop.services().crypto.refund_addresses.put(payment.id, shop.uid, address, shop.clock.now())
    return shop.now(payment)


def ask(shop: CoinShop, payment: Payment, minor: int | None = None, key: str = "1", **more: Any) -> Payout:
    operation = operation_id("test", key)
    asked = RefundAsked(payment=payment.id, minor=minor, operation=operation, fingerprint=f"{minor}", **more)
    shop.services().payments.refunds.refund(asked)
    return shop.services().crypto.payouts.get(payment.id, refund_id(operation))


def newest(shop: CoinShop, payment: Payment) -> Payout:
    return shop.services().crypto.payouts.of_payment(payment.id)[-1]


def pay_out(shop: CoinShop, payout: Payout, *, to: str = "", more: int = 0) -> str:
    terms = payout.terms
    return shop.chains[terms.network].send(to or terms.address, terms.asset, terms.amount + more)


def tell(shop: CoinShop, payout: Payout, transaction: str) -> Payout:
    return shop.services().crypto.payouts.sent(payout.payment, payout.id, transaction)


def call_off(shop: CoinShop, payout: Payout) -> Payout:
    return shop.services().crypto.payouts.cancel(payout.payment, payout.id)


def look(shop: CoinShop) -> None:
    shop.clock.advance(2 * MINUTE)
    shop.services().crypto.payouts.resume(JobRun("", shop.clock, 60.0))
    shop.every_minute()


@pytest.mark.parametrize(
    ("network", "asset", "address"),
    [("base", "USDC", WALLET), ("base", "ETH", WALLET), ("bitcoin", "BTC", ON_BITCOIN)],
)
def test_refund_in_coins_is_sent_once_chain_shows_it_deep(shop, network, asset, address):
    payment = paid(shop, network, asset, address)
    payout = ask(shop, payment)
    assert (payout.state, shop.money()[0], status_of(shop.now(payment))) == ("waiting", 0, "refunded")

    transaction = pay_out(shop, payout)
    waiting = tell(shop, payout, transaction)
    shop.chains[network].mine(1)
    seen = tell(shop, payout, transaction)
    shop.chains[network].mine(40)
    look(shop)

    at_one_block = "sent" if network == "bitcoin" else "seen"
    assert (waiting.state, seen.state, newest(shop, payment).state) == ("waiting", at_one_block, "sent")
    assert (shop.money()[0], status_of(shop.now(payment))) == (0, "refunded")
    assert newest(shop, payment).terms.address == address


def test_a_refunded_user_is_not_told_that_the_credits_are_there(shop):
    payment = paid(shop)
    ask(shop, payment)

    assert shop.view(payment)["crypto"]["sentence"] == "The credits of this payment were taken back for a refund."


def test_nothing_goes_back_without_a_named_address(shop):
    payment = shop.order()
    shop.send(payment, payment.quote.due)
    shop.deep(payment)

    with pytest.raises(RefundAddressMissing):
        ask(shop, payment)

    assert (shop.money()[0], shop.services().crypto.payouts.of_payment(payment.id)) == (ALL, [])


def test_coins_that_a_reorg_may_take_back_are_not_refunded(shop):
    payment = shop.order("bitcoin", "BTC")
    shop.send(payment, payment.quote.due)
    shop.chains["bitcoin"].mine(1)
    shop.follow(payment)
    shop.services().crypto.refund_addresses.put(payment.id, shop.uid, ON_BITCOIN, shop.clock.now())

    with pytest.raises(CoinsNotFinal):
        ask(shop, payment)
    credited = shop.money()[0]
    shop.deep(payment)
    payout = ask(shop, payment, key="2")

    assert (credited, payout.state, shop.money()[0]) == (ALL, "waiting", 0)


def test_named_address_counts_after_a_day_without_fresh_sign_in(shop):
    payment = shop.order()
    shop.send(payment, payment.quote.due)
    shop.deep(payment)
    addresses = shop.services().crypto.refund_addresses
    addresses.put(payment.id, shop.uid, WALLET, shop.clock.now() - 6 * MINUTE)

    with pytest.raises(RefundAddressMissing):
        ask(shop, payment)
    shop.clock.advance(DAY)

    assert ask(shop, payment).terms.address == WALLET


def test_address_named_again_keeps_its_time_and_another_begins_anew(shop):
    payment = paid(shop)
    addresses, old = shop.services().crypto.refund_addresses, shop.clock.now() - DAY

    again = addresses.put(payment.id, shop.uid, WALLET.lower(), old)
    other = addresses.put(payment.id, shop.uid, OTHER, old)

    assert (again.address, again.counts_at) == (WALLET, shop.clock.now())
    assert other.counts_at == shop.clock.now() + DAY


@pytest.mark.parametrize(
    "address",
    [
        "",
        "0x52908400098527886E0F7030069857D2E4169eE7",
        "0x5290",
        "0x0000000000000000000000000000000000000000",
        "0x0000000000000000000000000000000000000001",
        "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
        "0xdAC17F958D2ee523a2206206994597C13D831ec7",
        ON_BITCOIN,
        "bc1",
    ],
)
def test_address_that_is_no_wallet_of_the_user_is_refused(shop, address):
    payment = shop.order()

    with pytest.raises(InvalidValue, match="address"):
        shop.services().crypto.refund_addresses.put(payment.id, shop.uid, address, shop.clock.now())


@pytest.mark.parametrize(
    "address",
    [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        "bc1QW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        WALLET,
    ],
)
def test_bitcoin_address_of_another_kind_or_network_is_refused(shop, address):
    payment = shop.order("bitcoin", "BTC")

    with pytest.raises(InvalidValue, match="address"):
        shop.services().crypto.refund_addresses.put(payment.id, shop.uid, address, shop.clock.now())


@pytest.mark.parametrize("index", [1, 2])
def test_address_of_ours_is_refused_for_refunds(shop, index, monkeypatch):
    ours = {1: OTHER, 2: WALLET}
    monkeypatch.setattr(shop, "address", lambda network, number: ours[number])
    first = shop.order()
    shop.order()

    with pytest.raises(InvalidValue, match="ours"):
        shop.services().crypto.refund_addresses.put(first.id, shop.uid, ours[index].lower(), shop.clock.now())


def test_refund_states_value_now_rate_and_coins(shop):
    payment = paid(shop, "base", "ETH")
    shop.clock.advance(MINUTE)
    shop.price("ETH", "4000")

    payout = ask(shop, payment, minor=600)

    assert (payout.price.minor, payout.terms.rate, payout.terms.amount) == (600, "4000", 6 * 10**18 // 4000)


def test_called_off_payout_restores_the_credits_and_can_be_asked_again(shop):
    payment = paid(shop)
    payout = ask(shop, payment)

    assert (call_off(shop, payout).state, call_off(shop, payout).state) == ("cancelled", "cancelled")
    assert (shop.money()[0], status_of(shop.now(payment))) == (ALL, "settled")
    assert ask(shop, payment, key="2").id != payout.id
    assert shop.money()[0] == 0


def test_sent_payout_stays_and_another_transaction_is_refused(shop):
    payment = paid(shop)
    payout = ask(shop, payment)
    first, second = pay_out(shop, payout), pay_out(shop, payout)
    shop.chains["base"].mine(40)
    tell(shop, payout, first)

    with pytest.raises(PayoutIsOut):
        tell(shop, payout, second)
    with pytest.raises(PayoutIsOut):
        call_off(shop, payout)


def test_transaction_in_the_pool_holds_up_a_call_off(shop):
    payment = paid(shop)
    payout = ask(shop, payment)
    transaction = pay_out(shop, payout)
    tell(shop, payout, transaction)

    with pytest.raises(PayoutIsOut):
        call_off(shop, payout)
    shop.chains["base"].drop(transaction)

    assert (call_off(shop, payout).state, shop.money()[0]) == ("cancelled", ALL)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"more": 1}, "other_amount"), ({"more": -1}, "other_amount"), ({"to": OTHER}, "other_address")],
)
def test_transaction_with_other_amount_or_address_is_not_believed(shop, changes, reason):
    payment = paid(shop)
    payout = ask(shop, payment)
    transaction = pay_out(shop, payout, **changes)
    shop.chains["base"].mine(40)

    with pytest.raises(PayoutNotShown) as refusal:
        tell(shop, payout, transaction)

    assert (refusal.value.params["reason"], newest(shop, payment).state) == (reason, "waiting")


def test_wrong_transaction_named_from_the_pool_is_forgotten_with_an_alert(shop):
    payment = paid(shop)
    payout = ask(shop, payment)
    tell(shop, payout, pay_out(shop, payout, more=5))
    shop.chains["base"].mine(40)

    look(shop)

    left = newest(shop, payment)
    assert (left.state, left.transaction, left.fault) == ("waiting", "", "other_amount")
    assert "payout_does_not_fit" in [alert.event for alert in shop.alerts.raised]
    assert call_off(shop, payout).state == "cancelled"


def test_unknown_and_older_transactions_are_not_believed(shop):
    payment = paid(shop)
    early = shop.chains["base"].send(WALLET, "USDC", ask(shop, payment, minor=500, key="old").terms.amount)
    shop.chains["base"].mine(1)
    shop.clock.advance(5 * MINUTE)
    payout = ask(shop, payment, minor=500, key="new")

    for transaction, reason in (("0x" + "1" * 64, "unknown"), (early, "too_old")):
        with pytest.raises(PayoutNotShown) as refusal:
            tell(shop, payout, transaction)
        assert refusal.value.params["reason"] == reason
    with pytest.raises(InvalidValue):
        tell(shop, payout, "0x12")


def test_one_transaction_pays_one_refund_only(shop):
    payment = paid(shop)
    one = ask(shop, payment, minor=300, key="1")
    other = ask(shop, payment, minor=300, key="2")
    transaction = pay_out(shop, one)
    tell(shop, one, transaction)

    with pytest.raises(TransactionServesAnother):
        tell(shop, other, transaction)


def test_payout_whose_block_left_the_chain_is_waited_for_again(shop, monkeypatch):
    monkeypatch.setattr("shared.platform.memory.chain.FINAL_DEPTH", 30)
    payment = paid(shop)
    payout = ask(shop, payment)
    transaction = pay_out(shop, payout)
    shop.chains["base"].mine(10)
    assert tell(shop, payout, transaction).state == "sent"

    shop.chains["base"].reorg(10, keep=[])
    look(shop)

    assert (newest(shop, payment).state, shop.money()[0]) == ("waiting", 0)
    assert "payout_left_the_chain" in [alert.event for alert in shop.alerts.raised]
    assert (call_off(shop, payout).state, shop.money()[0]) == ("cancelled", ALL)


def test_coins_sent_after_a_call_off_take_the_credits_again(shop):
    payment = paid(shop)
    payout = ask(shop, payment)
    call_off(shop, payout)
    transaction = pay_out(shop, payout)
    shop.chains["base"].mine(1)

    assert (tell(shop, payout, transaction).state, shop.money()[:2]) == ("seen", (0, ALL))
    shop.chains["base"].mine(40)
    look(shop)

    assert (newest(shop, payment).state, shop.money()) == ("sent", (0, 0, 0))
    assert status_of(shop.now(payment)) == "refunded"


def test_more_than_is_left_cannot_go_back(shop):
    payment = paid(shop)
    payout = ask(shop, payment, minor=700)
    call_off(shop, payout)
    pay = pay_out(shop, payout)
    shop.chains["base"].mine(1)
    tell(shop, payout, pay)

    with pytest.raises(InvalidValue):
        ask(shop, payment, minor=301, key="2")

    assert ask(shop, payment, minor=300, key="2").price.minor == 300


def test_the_same_refund_asked_twice_is_one_payout(shop):
    payment = paid(shop)

    assert ask(shop, payment, minor=400) == ask(shop, payment, minor=400)
    assert len(shop.services().crypto.payouts.of_payment(payment.id)) == 1


def test_coins_under_review_do_not_go_back_by_button(shop):
    payment = paid(shop)
    assert payment.quote is not None
    shop.chains["base"].sweep(payment.quote.address)
    shop.deep(payment)
    shop.send(payment, payment.quote.due)
    shop.deep(payment)
    (late,) = shop.deposits(payment)
    assert late.problem == "address_swept"

    with pytest.raises(NotRefundable):
        ask(shop, late)


def test_coins_of_a_user_who_left_go_back_to_an_address_that_the_operator_names(shop):
    payment = shop.order()
    shop.services().credits.ledger.execute(shop.uid, Close(operation=OperationId("bye")))
    shop.send(payment, payment.quote.due)
    left = shop.deep(payment)
    assert left.problem == "refund_due"

    with pytest.raises(RefundAddressMissing):
        ask(shop, payment)
    payout = ask(shop, payment, address=OTHER, key="2")
    transaction = pay_out(shop, payout)
    shop.chains["base"].mine(40)
    tell(shop, payout, transaction)

    assert payout.terms.amount == payment.quote.due
    assert (status_of(shop.now(payment)), shop.now(payment).problem) == ("refunded", "")


def test_operator_names_no_address_while_the_user_is_here(shop):
    payment = paid(shop)

    with pytest.raises(InvalidValue, match="address"):
        ask(shop, payment, address=OTHER)


def test_payouts_of_others_and_unknown_ones_are_not_found(shop):
    payment = paid(shop)
    payout = ask(shop, payment)

    with pytest.raises(PayoutNotFound):
        shop.services().crypto.payouts.cancel("pay_other", payout.id)
    with pytest.raises(PayoutNotFound):
        shop.services().crypto.payouts.cancel(payment.id, "refund_other")
    with pytest.raises(Exception, match="no such payment"):
        shop.services().crypto.refund_addresses.put(payment.id, Uid("other"), OTHER, None)


STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from([250, 500, 1000])),
    st.tuples(st.just("pay"), st.sampled_from(["right", "right", "amount", "address"])),
    st.tuples(st.just("tell"), st.integers(0, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("mine"), st.sampled_from([1, 3, 12])),
    st.tuples(st.just("reorg"), st.sampled_from([(1, True), (3, False), (5, False), (5, True)])),
    st.tuples(st.just("look"), st.just(0)),
)


class _Play:
    """Operators and a chain that do anything in any order."""

    def __init__(self) -> None:
        self.shop = CoinShop()
        self.payment = paid(self.shop)
        self.right: dict[str, str] = {}
        """Payouts by the transactions that send exactly their coins."""
        self.transactions: list[tuple[str, str]] = []
        self.count = 0

    def step(self, name: str, value: Any) -> None:
        getattr(self, name)(value)

    @property
    def payouts(self) -> list[Payout]:
        return list(self.shop.services().crypto.payouts.of_payment(self.payment.id))

    def ask(self, minor: int) -> None:
        self.count += 1
        ask(self.shop, self.payment, minor=minor, key=f"{self.count}")

    def pay(self, kind: str) -> None:
        for payout in self.payouts[-1:]:
            kinds: dict[str, dict[str, Any]] = {"amount": {"more": 1}, "address": {"to": OTHER}}
            more = kinds.get(kind, {})
            transaction = pay_out(self.shop, payout, **more)
            self.transactions.append((payout.id, transaction))
            if kind == "right":
                self.right[transaction] = payout.id

    def tell(self, number: int) -> None:
        for refund, transaction in self.transactions[-1 - number :][:1]:
            tell(self.shop, next(each for each in self.payouts if each.id == refund), transaction)

    def cancel(self, number: int) -> None:
        for payout in self.payouts[-1 - number :][:1]:
            call_off(self.shop, payout)

    def mine(self, blocks: int) -> None:
        self.shop.chains["base"].mine(blocks)

    def reorg(self, value: tuple[int, bool]) -> None:
        self.shop.chains["base"].reorg(value[0], keep=None if value[1] else [])

    def look(self, _: int) -> None:
        look(self.shop)

    def check(self) -> None:
        """Once the chain is quiet: exactly the payouts with named coins on the chain are sent, and credits agree."""
        self.mine(40)
        look(self.shop)
        look(self.shop)
        chain, gone = self.shop.chains["base"], 0
        for payout in self.payouts:
            known = chain.transaction(payout.transaction) if payout.transaction else None
            is_paid = known is not None and self.right.get(payout.transaction) == payout.id
            assert (payout.state == "sent") == is_paid
            gone += payout.price.minor if payout.state != "cancelled" else 0
        payment = self.shop.now(self.payment)
        taken = min(gone, 1000)
        left = sum(amount - share(amount, taken, 1000) for _, amount in payment.lots)
        assert (payment.applied.taken, self.shop.money()) == (taken, (left, 0, 0))
        claimed = [payout.transaction for payout in self.payouts if payout.transaction]
        assert len(claimed) == len(set(claimed))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
def test_credits_and_payouts_agree_after_any_order(steps):
    play = _Play()

    for name, value in steps:
        try:
            play.step(name, value)
        except (PayoutIsOut, PayoutNotShown, TransactionServesAnother, NotRefundable, InvalidValue):
            continue

    play.check()

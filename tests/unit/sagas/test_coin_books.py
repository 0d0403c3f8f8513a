"""Closed days against the chains: coins on one side alone, and amounts that differ, are found and named."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from shared.bootstrap.jobs import JobWorkers
from shared.kernel.clock import DAY, HOUR
from shared.kernel.documents import Patch
from shared.kernel.ids import LotId, OperationId, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Grant
from shared.payments.chains.claims import deposit_id
from shared.payments.chains.payouts import Payout
from shared.payments.chains.ports import Chain
from shared.payments.payment import Payment
from shared.payments.provider_days import ProviderDay, ProviderDays
from shared.platform.memory.chain import MemoryChain
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.refunds import RefundAsked, refund_id
from tests.support.coins import CoinShop, atomic

MIDNIGHT = 1_790_035_200_000 + DAY
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
EMPTY = ProviderDay(day="", since=0, until=0, first=0, size=0, expected=0)
"""Result of a day on which neither side has money, which is not kept."""


class CoinBooks(CoinShop):
    """Coins whose days are closed and compared."""

    def __init__(self) -> None:
        super().__init__()
        self.cursor = self.close_cursor = ""
        self.clock.advance(MIDNIGHT + 8 * HOUR - self.clock.now())
        self.close()
        self.compare()

    @property
    def workers(self) -> JobWorkers:
        return JobWorkers(self.services())

    def buy(self, network: str = "base", asset: str = "USDC", *, units: int | None = None) -> Payment:
        """A package whose coins came and are final."""
        payment = self.order(network, asset)
        assert payment.quote is not None
        self.send(payment, payment.quote.due if units is None else units)
        return self.deep(payment)

    def close(self) -> None:
        self.workers.log.sweep(JobRun("", self.clock, 60.0))
        run = JobRun(self.close_cursor, self.clock, 60.0)
        self.workers.days.close(run)
        self.close_cursor = run.cursor

    def compare(self) -> None:
        run = JobRun(self.cursor, self.clock, 60.0, self.alerts)
        self.workers.provider_books.compare(run)
        self.cursor = run.cursor

    def end_day(self, *, is_mined: bool = True) -> None:
        """Close the day, and compare at 08:00 of the next one."""
        now = self.clock.now()
        self.clock.advance(now - now % DAY + DAY + 8 * HOUR - now)
        if is_mined:
            for chain in self.chains.values():
                chain.mine(40)
        self.close()
        self.compare()

    def result(self, family: str = "evm") -> ProviderDay:
        days, last = ProviderDays(self.documents), self.services().credits.days.state().last
        assert days.state(family).last == last
        return days.find(family, last) or EMPTY

    def items(self, family: str = "evm") -> list[tuple[Any, ...]]:
        return [(each["payment"], each["finding"], each["state"]) for each in self.result(family).items]

    def told(self) -> list[Any]:
        return [each for each in self.alerts.raised if each.event.startswith("provider_books")]


@pytest.fixture
def books() -> CoinBooks:
    return CoinBooks()


@pytest.mark.parametrize(("network", "asset"), [("base", "USDC"), ("polygon", "USDC"), ("ethereum", "ETH")])
def test_day_with_coins_balances(network: str, asset: str, books: CoinBooks) -> None:
    bought = books.buy(network, asset)

    books.end_day()

    told = books.result()
    assert (books.now(bought).applied.is_granted, told.open, told.granted) == (True, 0, 1_000_000_000)
    assert told.listed["USD"].came_in == 1_000
    assert books.told() == []


def test_day_with_bitcoin_balances(books: CoinBooks) -> None:
    books.buy("bitcoin", "BTC")

    books.end_day()

    assert (books.result("bitcoin").open, books.result("bitcoin").granted) == (0, 1_000_000_000)


class ShortChain:
    """A chain that tells a part of the levels of one address."""

    def __init__(self, chain: MemoryChain, address: str, permille: int) -> None:
        self._chain, self._address, self._permille = chain, address, permille

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def levels(self, block: str, addresses: Sequence[str], assets: Sequence[str]) -> Any:
        told = self._chain.levels(block, addresses, assets)
        return {
            key: units * self._permille // 1_000 if key[0] == self._address else units for key, units in told.items()
        }


def shortened(books: CoinBooks, payment: Payment, permille: int) -> None:
    assert payment.quote is not None
    books.served[payment.quote.network] = cast(
        "Chain", ShortChain(books.chains[payment.quote.network], payment.quote.address, permille)
    )


@pytest.mark.parametrize("permille", [0, 500, 999])
def test_coins_of_a_payment_that_the_chain_lacks_are_named(permille: int, books: CoinBooks) -> None:
    bought, _ = books.buy(), books.buy()
    shortened(books, bought, permille)

    books.end_day()
    books.end_day()

    finding = "amount_differs" if permille else "missing_there"
    assert books.items() == [(bought.id, finding, "differs")]
    assert [each.fields["payments"] for each in books.told()] == [bought.id]
    assert books.told()[0].fields["owner"] == "admin"


def test_a_thousandth_less_on_the_chain_is_found_on_the_first_day(books: CoinBooks) -> None:
    bought = books.buy()
    shortened(books, bought, 999)

    books.end_day()

    assert books.items() == [(bought.id, "amount_differs", "differs")]


def test_coins_of_an_earlier_day_that_left_without_a_sweep_are_named(books: CoinBooks) -> None:
    bought = books.buy()
    books.end_day()
    shortened(books, bought, 999)

    books.end_day()
    first = books.items()
    books.end_day()

    assert first == [(bought.id, "missing_there", "in_transit")]
    assert books.items() == [(bought.id, "missing_there", "differs")]


def test_coins_that_nobody_looked_at_are_named_until_they_are_credited(books: CoinBooks) -> None:
    bought = books.buy()
    assert bought.quote is not None
    books.end_day()
    books.send(bought, atomic(books.networks["base"], "USDC", "25"))
    unknown = deposit_id("base", "USDC", bought.quote.address, bought.quote.due)

    books.end_day()
    first = books.items()
    books.end_day()
    second = books.items()
    books.deep(bought)
    books.end_day()

    assert first == [(unknown, "unknown_payment", "in_transit")]
    assert second == [(unknown, "unknown_payment", "differs")]
    assert [each.fields["payments"] for each in books.told()] == [unknown]
    assert (books.items(), [each.id for each in books.deposits(bought)]) == ([], [unknown])


def test_a_sweep_that_was_looked_at_changes_nothing(books: CoinBooks) -> None:
    bought = books.buy()
    assert bought.quote is not None
    books.chains["base"].sweep(bought.quote.address)
    books.deep(bought)

    books.end_day()

    assert (books.items(), books.result().listed["USD"].came_in) == ([], 1_000)


def asked_back(books: CoinBooks, payment: Payment) -> Payout:
    services, operation = books.services(), operation_id("test", payment.id)
    services.crypto.refund_addresses.put(payment.id, books.uid, WALLET, books.clock.now())
    services.payments.refunds.refund(RefundAsked(payment=payment.id, minor=None, operation=operation, fingerprint="f"))
    return services.crypto.payouts.get(payment.id, refund_id(operation))


def test_coins_that_are_paid_back_balance_once_the_chain_shows_them(books: CoinBooks) -> None:
    payout, late = asked_back(books, books.buy()), asked_back(books, books.buy())
    send_back(books, payout)

    books.end_day()
    first = books.items()
    send_back(books, late)
    books.end_day()

    assert first == [(late.payment, "outgoing_missing_there", "differs")]
    assert (books.items(), books.result().listed["USD"].went_out) == ([], 1_000)


def send_back(books: CoinBooks, payout: Payout) -> None:
    terms, chain = payout.terms, books.chains[payout.terms.network]
    transaction = chain.send(terms.address, terms.asset, terms.amount)
    chain.mine(40)
    books.services().crypto.payouts.sent(payout.payment, payout.id, transaction)


def test_credits_that_no_coins_paid_are_named(books: CoinBooks) -> None:
    granted = Grant(operation=OperationId("op_x"), amount=Micro(1), lot=LotId("x"), source="world:evm")
    books.services().credits.ledger.execute(books.uid, granted)

    books.end_day()

    ((_, finding, state),) = books.items()
    assert (finding, state) == ("unknown_payment", "differs")


@pytest.mark.parametrize("is_deaf", [False, True])
def test_a_chain_that_does_not_answer_leaves_the_day_open(is_deaf: bool, books: CoinBooks) -> None:
    books.buy()
    before = ProviderDays(books.documents).state("evm").last
    books.chains["base"].is_unavailable(is_deaf)

    books.end_day(is_mined=False)
    states = [ProviderDays(books.documents).state("evm")]
    for _ in range(3):
        books.end_day(is_mined=False)
    books.chains["base"].is_unavailable(False)
    late = [each.fields["provider"] for each in books.told() if each.event == "provider_books_late"]
    books.end_day()

    reason = "chain_unavailable" if is_deaf else "listing_not_complete"
    assert [(each.last, each.reason) for each in states] == [(before, reason)]
    assert "evm" in late
    assert books.result().open == 0


def test_a_broken_address_is_counted_and_hides_no_other(books: CoinBooks) -> None:
    broken, short = books.buy(), books.buy()
    shortened(books, short, 999)
    books.documents.commit([Patch(books.record(broken).path, {"levels": "x"})])

    books.end_day()

    named = [(broken.id, "missing_there", "differs"), (short.id, "amount_differs", "differs")]
    assert (books.result().unreadable, books.items()) == (1, sorted(named))


def test_coins_of_folded_claims_are_not_missed(books: CoinBooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.payments.chains.levels.CLAIMS_MAX", 1)
    bought = books.buy()
    for _ in range(3):
        books.send(bought, atomic(books.networks["base"], "USDC", "25"))
        books.deep(bought)

    books.end_day()

    (level,) = books.record(bought).levels.values()
    assert level.folded_claims > 0
    assert (books.items(), books.told()) == ([], [])

"""Everything that can arrive at an address, through HTTP: state, sentence, credits and owner (docs/crypto-payments.md).

Each row is played with the coin of an EVM network, a token, and Bitcoin.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, cast

import pytest

from shared.kernel.clock import HOUR, MINUTE, SECOND
from shared.kernel.ids import OperationId
from shared.ledger.commands import Close
from shared.platform.memory.chain import MemoryChain
from tests.api.test_crypto_payments import ENV, PACKAGE
from tests.api.world import Person, World, problem

LOCK, GRACE = 15 * MINUTE, 60 * MINUTE
CREDITS, ALL = 1_000, 1_050
FAR_FINALITY = 30
WAYS = [("base", "ETH"), ("base", "USDC"), ("bitcoin", "BTC")]
EACH = pytest.mark.parametrize(("network", "asset"), WAYS, ids=["coin", "token", "bitcoin"])


@dataclass
class Till:
    """One payment, its payer, and the chains."""

    world: World
    owner: Person
    network: str
    asset: str
    told: Any

    @property
    def payer(self) -> Person:
        """The owner, with a token of now."""
        return replace(self.owner, token=self.world.identity.token(self.owner.uid))

    @property
    def blocks(self) -> int:
        """Blocks after which ten dollars count and are not final."""
        return 2 if self.network == "bitcoin" else 10

    @property
    def chains(self) -> Mapping[str, MemoryChain]:
        return cast("Mapping[str, MemoryChain]", self.world.services.ports.chains())

    @property
    def chain(self) -> MemoryChain:
        return self.chains[self.network]

    @property
    def due(self) -> int:
        return int(self.told["amount_atomic"])

    def send(self, part: Fraction | int = 1, network: str = "", asset: str = "", amount: int = 0) -> str:
        sent = amount or int(self.due * part)
        return self.chains[network or self.network].send(self.told["address"], asset or self.asset, sent)

    def deep(self, blocks: int = 40) -> Any:
        """Blocks pass on all networks, and the watch comes by."""
        for chain in self.chains.values():
            chain.mine(blocks)
        return self.seen()

    def seen(self) -> Any:
        """The watch comes by, and the payer asks for the status."""
        for _ in range(2):
            self.world.clock.advance(3 * SECOND)
            self.world.services.crypto.follower.follow_payment(self.told["payment_id"])
        return self.payer.get(f"/payments/status/{self.told['payment_id']}").json

    def price(self, asset: str, rate: str) -> None:
        for source in cast("list[Any]", self.world.services.ports.price_sources()):
            source.set_rate(asset, rate)
        for chain in self.chains.values():
            chain.rates[asset] = rate

    def credits(self) -> tuple[str, str, str]:
        balance = self.payer.get("/credits/balance").json
        return balance["available"], balance["held"], balance["debt"]

    def history(self) -> list[tuple[str, str]]:
        """Package and status of the payer's payments, the oldest first."""
        items = self.payer.get("/payments/history").json["items"]
        return [(each["package_id"], each["status"]) for each in reversed(items)]


@pytest.fixture(autouse=True)
def far_finality(monkeypatch):
    monkeypatch.setattr("shared.platform.memory.chain.FINAL_DEPTH", FAR_FINALITY)


@pytest.fixture
def till(network, asset) -> Till:
    world = World(ENV)
    for chain in cast("Mapping[str, MemoryChain]", world.services.ports.chains()).values():
        chain.mine(FAR_FINALITY + 2)
    assert world.person("admin").call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    payer = world.person()
    answer = payer.post("/payments/crypto", {"package_id": "small", "network": network, "asset": asset})
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return Till(world=world, owner=payer, network=network, asset=asset, told=answer.json)


def whole(credits_: int) -> tuple[str, str, str]:
    return str(credits_), "0", "0"


@EACH
def test_nothing_has_come(till):
    shown = till.seen()

    assert (shown["status"], shown["crypto"]["state"]) == ("pending", "waiting")
    assert shown["crypto"]["sentence"].startswith(f"Send {till.told['amount']} {till.asset} on")


@EACH
@pytest.mark.parametrize("permille", [1_000, 995])
def test_the_amount_or_half_a_percent_less_is_the_package(till, permille):
    till.send(amount=-(-till.due * permille // 1_000))

    shown = till.deep()

    assert (shown["status"], shown["crypto"]["state"], till.credits()) == ("settled", "settled", whole(ALL))
    assert till.history() == [("small", "settled")]


@EACH
def test_parts_are_the_package_once_whole(till):
    till.send(Fraction(1, 2))
    partial = till.deep()["crypto"]
    till.send(amount=till.due - till.due // 2)

    assert partial["state"] == "partial"
    assert "Send the rest to the same address, or take what came." in partial["sentence"]
    assert (till.deep()["status"], till.credits()) == ("settled", whole(ALL))


@EACH
def test_a_part_is_its_share_when_taken_and_nothing_can_be_taken_twice(till):
    till.send(Fraction(1, 2))
    till.deep()
    path = f"/payments/crypto/{till.told['payment_id']}/take"

    taken = till.payer.post(path, {})

    assert (taken.status_code, taken.json["status"], taken.json["bonus"]) == (200, "settled", "0")
    assert till.credits() == whole(CREDITS // 2)
    assert problem(till.payer.post(path, {}))[1] == "nothing_to_take"
    assert problem(till.world.person().post(path, {}))[1] == "payment_not_found"


@EACH
def test_a_part_is_its_share_when_grace_ends(till):
    till.send(Fraction(3, 4))
    till.deep()
    till.world.clock.advance(LOCK + GRACE)

    shown = till.deep()

    assert (shown["status"], shown["price"]["amount"], till.credits()) == ("settled", "7.50", whole(CREDITS * 3 // 4))
    assert "came in time, and you have the credits for that part" in shown["crypto"]["sentence"]


@EACH
def test_more_than_due_and_a_later_payment_are_deposits(till):
    till.send(2)
    till.deep()
    till.world.clock.advance(500 * HOUR)
    till.send(1)

    lines = till.deep()["crypto"]["lines"]

    assert [line["package_id"] for line in lines] == ["small", "deposit", "deposit"]
    assert {status for _, status in till.history()} == {"settled"}
    assert float(till.credits()[0]) == pytest.approx(ALL + 2 * CREDITS, rel=0.001)


@EACH
def test_late_coins_keep_the_rate_within_grace_and_are_a_deposit_after(till):
    till.world.clock.advance(LOCK + MINUTE)
    till.send(1)
    till.deep()
    within = till.credits()
    till.world.clock.advance(GRACE)
    till.send(1)

    till.deep()

    assert within == whole(ALL)
    assert till.history() == [("small", "settled"), ("deposit", "settled")]


@EACH
def test_coins_after_grace_leave_the_purchase_expired(till):
    till.world.clock.advance(LOCK + GRACE + SECOND)
    till.send(1)

    shown = till.deep()

    assert (shown["status"], shown["crypto"]["state"]) == ("expired", "late")
    assert "is credited at the rate of that time" in shown["crypto"]["sentence"]
    assert till.history() == [("small", "expired"), ("deposit", "settled")]


@EACH
def test_dust_counts_once_its_sum_passes_the_minimum(till):
    till.send(1)
    till.deep()
    least = till.world.services.crypto.networks[till.network].minimum_usd_cents
    dust = Fraction(least * 3, 5 * 1_000)

    till.send(dust)
    alone = [status for package, status in (till.deep(), till.history())[1] if package == "deposit"]
    till.send(dust)
    till.deep()

    assert alone == []
    assert till.history() == [("small", "settled"), ("deposit", "settled")]


@pytest.mark.parametrize(("network", "asset"), WAYS[:2], ids=["coin", "token"])
def test_a_reorg_before_the_credit_is_nothing(till):
    till.send(1)
    till.chain.mine()
    till.seen()
    till.chain.reorg(1, keep=set())

    shown = till.deep()

    assert (shown["status"], shown["crypto"]["received"], till.credits()) == ("pending", "0", whole(0))


@EACH
def test_a_reorg_after_the_credit_suspends_returns_and_takes(till):
    till.send(1)
    till.deep(till.blocks)
    credited = till.credits()
    till.chain.reorg(till.blocks, keep=set())
    gone = till.seen()
    suspended = till.credits()

    till.deep(FAR_FINALITY + 10)
    lost = till.credits()
    till.send(1)
    back = till.deep()

    assert (credited, suspended, lost) == (whole(ALL), ("0", str(ALL), "0"), whole(0))
    assert (gone["status"], gone["crypto"]["state"]) == ("taken_back", "taken_back")
    assert gone["crypto"]["sentence"].startswith("The network took your payment back.")
    assert (back["status"], till.credits()) == ("settled", whole(ALL))
    assert till.history() == [("small", "settled")]


@EACH
def test_credits_spent_before_a_loss_are_a_debt(till):
    till.send(1)
    till.deep(till.blocks)
    till.payer.post("/credits/reserve", {"amount": "1000"})
    reservation = till.payer.post("/credits/reserve", {"amount": "50"}).json
    till.payer.post(f"/credits/reservations/{reservation['id']}/capture", {"amount": "50"})
    till.chain.reorg(till.blocks, keep=set())
    till.seen()

    shown = till.deep(FAR_FINALITY + 10)

    assert "for good" in shown["crypto"]["sentence"]
    assert float(till.credits()[2]) > 0


@EACH
def test_coins_after_a_sweep_are_reviewed(till):
    till.send(1)
    till.deep()
    till.chain.sweep(till.told["address"])
    till.deep()
    till.send(1)

    till.deep()

    reviewed = till.world.person("admin").get("/admin/payments?under_review=true").json["items"]
    assert [(each["package_id"], each["problem"]["code"]) for each in reviewed] == [("deposit", "address_swept")]
    assert till.credits() == whole(ALL)


@EACH
def test_coins_of_a_user_who_left_wait_for_a_person(till):
    till.world.services.credits.ledger.execute(till.payer.uid, Close(operation=OperationId("bye")))
    till.send(1)

    till.deep()

    [parked] = till.world.person("admin").get("/admin/payments?under_review=true").json["items"]
    refused = till.world.person("admin").post(f"/admin/payments/{parked['id']}/refund", {"reason": "Left."})
    assert parked["problem"]["code"] == "refund_due"
    assert "send the coins from your wallet" in parked["problem"]["message"]
    assert problem(refused)[0] == 409


@pytest.mark.parametrize(("network", "asset"), [("base", "ETH"), ("base", "USDC")], ids=["coin", "token"])
@pytest.mark.parametrize(("on", "coins"), [("polygon", "USDT"), ("base", "ETH"), ("base", "USDC")])
def test_another_asset_or_network_is_a_deposit(till, on, coins):
    if (on, coins) == (till.network, till.asset):
        return
    decimals = till.world.services.crypto.networks[on].assets[coins].decimals
    till.send(network=on, asset=coins, amount=10**decimals)

    shown = till.deep()

    assert f"{coins} on {till.world.services.crypto.networks[on].title} came instead" in shown["crypto"]["sentence"]
    assert till.history() == [("small", "pending"), ("deposit", "settled")]


@pytest.mark.parametrize(("network", "asset"), [("bitcoin", "BTC")])
def test_coins_in_the_pool_are_seen_and_replaced_ones_are_nothing(till):
    sent = till.send(1)
    pool = till.seen()
    till.chain.drop(sent)

    shown = till.deep()

    assert (pool["status"], pool["crypto"]["state"]) == ("confirming", "pool")
    assert (shown["status"], till.credits()) == ("pending", whole(0))

"""Faults around agents' payments on a real node with a real facilitator: who paid has credits and call once."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from eth_account import Account

from functions.http.app import create_app
from shared.kernel.clock import SECOND, Millis, SystemClock
from shared.kernel.ids import Uid
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.passthrough import ScriptedPassthrough
from tests.api.world import MODEL
from tests.chains.killing import Killed, KillingDocuments
from tests.support.x402_base import DOLLAR, BaseTown, api_services, base_town
from tests.support.x402_payers import decoded, offers_in, signed_header

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
CALL = "/v1/openai/chat/completions"
AT_ONCE = 5
NUMBERS = itertools.count()
LEASE: Millis = 95 * SECOND
MOMENTS = (7, 11)
"""Commits before or after which the worker is killed: the payment is stored, and the facilitator may have settled."""


class LateClock(SystemClock):
    """The real clock, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead: Millis = 0

    def now(self) -> Millis:
        return super().now() + self.ahead


@pytest.fixture(scope="module")
def town() -> Iterator[BaseTown]:
    with base_town() as made:
        yield made


class Shop:
    """A backend over memory with Base on the node, one agent without credits, and a payer with five dollars."""

    def __init__(self, town: BaseTown) -> None:
        self.town = town
        self.documents, self.upstream, self.clock = MemoryDocuments(), ScriptedPassthrough(), LateClock()
        self.services = api_services(town, self.documents, self.upstream, self.clock)
        self.services.models.catalogue.put("gpt-4o-mini", MODEL)
        for _ in range(next(NUMBERS)):  # so that each shop has an address of its own on the node
            self.services.crypto.indices.take("evm")
        self.app = create_app(self.services)
        self.payer = Account.create()
        town.give(self.payer.address, 5)
        identity: Any = self.services.ports.identity()
        self.uid = Uid(identity.sign_up("agent@example.com"))
        person = {"Authorization": f"Bearer {identity.token(self.uid)}"}
        wanted = {"name": "k", "scopes": ["chat", "top_up"], "spend_cap": {"amount": "1000", "period": "day"}}
        made: Any = self.app.test_client().post("/v1/api-keys", json=wanted, headers=person).json
        self.headers = {"Authorization": f"Bearer {made['key']}"}
        refused = self.app.test_client().post(CALL, json=BODY, headers=self.headers)
        self.header = signed_header(offers_in(refused)[0], self.clock.now() // SECOND, key=self.payer)

    def ask(self, app: Any = None) -> Any:
        headers = {**self.headers, "PAYMENT-SIGNATURE": self.header}
        return (app or self.app).test_client().post(CALL, json=BODY, headers=headers)

    def process(self, moment: int) -> Any:
        """The application of a process that is killed at a moment."""
        killing = KillingDocuments(self.documents, moment)
        return create_app(api_services(self.town, killing, self.upstream, self.clock, self.services))

    def check_paid_once(self) -> None:
        history = self.services.payments.store.history(self.uid, limit=9, after=None).items
        assert [(each.data["status"], each.data["credits"]) for each in history] == [("settled", "100")]
        assert len(self.upstream.requests) == 1
        assert self.town.coins(self.payer.address) == 4 * DOLLAR


@pytest.fixture
def shop(town: BaseTown) -> Iterator[Shop]:
    yield Shop(town)
    town.facilitator.behave("well")


def test_an_answer_that_is_lost_is_given_again(shop: Shop):
    assert [shop.ask().status_code for _ in range(2)] == [200, 200]

    shop.check_paid_once()


def test_a_facilitator_that_is_down_after_the_broadcast_changes_nothing(shop: Shop):
    shop.town.facilitator.behave("lost")

    assert shop.ask().status_code == 200

    shop.check_paid_once()


def test_a_facilitator_that_fails_costs_and_gives_nothing(shop: Shop):
    shop.town.facilitator.behave("failing")

    answer = shop.ask()

    assert (answer.status_code, answer.json["error"]["code"]) == (402, "top_up_failed")
    assert decoded(answer.headers["PAYMENT-RESPONSE"])["errorReason"] == "unexpected_settle_error"
    assert (shop.upstream.requests, shop.town.coins(shop.payer.address)) == ([], 5 * DOLLAR)
    assert shop.services.credits.ledger.balance(shop.uid).total == 0


def test_a_stranger_who_broadcasts_first_takes_nothing(shop: Shop):
    payload = decoded(shop.header)["payload"]
    content, signature = payload["authorization"], bytes.fromhex(payload["signature"][2:])
    numbers = (int(content[name]) for name in ("value", "validAfter", "validBefore"))
    parts = (bytes.fromhex(content["nonce"][2:]), signature[64], signature[:32], signature[32:64])
    hands, usdc = shop.town.hands, shop.town.usdc
    called = hands.call(usdc, "transferWithAuthorization", content["from"], content["to"], *numbers, *parts, sender=2)
    hands.mined(called)

    assert shop.ask().status_code == 200

    shop.check_paid_once()


def test_the_same_header_five_times_at_once_pays_once(shop: Shop):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: shop.ask(), range(AT_ONCE)))

    assert [each.status_code for each in answers] == [200] * AT_ONCE
    shop.check_paid_once()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_dies_on_the_way_leaves_the_payment_to_the_next(shop: Shop, moment: int):
    with pytest.raises(Killed):
        shop.ask(shop.process(moment))
    shop.clock.ahead = LEASE

    assert shop.ask().status_code == 200

    shop.check_paid_once()

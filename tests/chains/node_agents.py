"""Agents that pay by themselves on a real node, by a facilitator made of the `x402` package; and faults on the way.

Each agent has a backend of its own over memory, no credits, and a payer. The agent sends the same request until it is
answered. Afterwards the node tells who paid: the credits of the coins are there once, and the call was made once. Who
did not pay has no credits, and no call was made.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

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
ATTEMPTS_MAX = 5
OK, CREATED, WAITING = 200, 201, (409, 500, 503)
PURSE = 5
CREDITS_PER_DOLLAR = 100
CREDIT = 10**6
LEASE: Millis = 95 * SECOND
"""Time after which the lease of a killed worker is over. The authorization still counts then."""
COMMITS = "commits until the call"

Fault = Callable[["NodeAgents", "NodeAgent"], None]


class AheadClock(SystemClock):
    """The real clock, put forward by `ahead`."""

    def __init__(self) -> None:
        self.ahead: Millis = 0

    def now(self) -> Millis:
        return super().now() + self.ahead


class NodeAgent:
    """Agent at a backend of its own, which has signed the first offer. `number` is the index of the agent's address."""

    def __init__(self, town: BaseTown, number: int, dollars: int = PURSE) -> None:
        self.town, self.dollars = town, dollars
        self.documents, self.upstream, self.clock = MemoryDocuments(), ScriptedPassthrough(), AheadClock()
        self.services = api_services(town, self.documents, self.upstream, self.clock)
        self.services.models.catalogue.put("gpt-4o-mini", MODEL)
        for _ in range(number):
            self.services.crypto.indices.take("evm")
        self.app = create_app(self.services)
        self.payer = Account.create()
        if dollars:
            town.give(self.payer.address, dollars)
        self.uid, self.headers = self._signed_up()
        offer = self._offer()
        self.receiver = str(offer["payTo"])
        self.header = signed_header(offer, self.clock.now() // SECOND, key=self.payer)

    def ask(self, app: Any = None) -> Any:
        """Send the agent's request once, with the payment."""
        headers = {**self.headers, "PAYMENT-SIGNATURE": self.header}
        return (app or self.app).test_client().post(CALL, json=BODY, headers=headers)

    def ask_until_answered(self) -> int:
        """Send the same request until the answer is final, and return the status."""
        status = 0
        for _ in range(ATTEMPTS_MAX):
            status = self.ask().status_code
            if status not in WAITING:
                break
        return status

    def ask_a_doomed_worker(self, moment: int) -> None:
        """Send the request to a process that is killed at a moment, and let the worker's lease end."""
        try:
            self.ask(self._process(KillingDocuments(self.documents, moment)))
        except Killed:
            self.clock.ahead += LEASE

    def commits_of_payment(self) -> int:
        """Pay without a call, and return the number of commits."""
        counting = KillingDocuments(self.documents, None)
        headers = {**self.headers, "PAYMENT-SIGNATURE": self.header}
        paid = self._process(counting).test_client().post("/v1/payments/x402", headers=headers)
        assert paid.status_code == CREATED, paid.text
        return counting.commits

    def check(self, status: int) -> bool:
        """Return True if coins came. Check that they are credits once and the call was made once; or neither."""
        came = self.town.coins(self.receiver)
        history = self.services.payments.store.history(self.uid, limit=9, after=None).items
        settled = [each.data["credits"] for each in history if each.data["status"] == "settled"]
        assert settled == [str(came // DOLLAR * CREDITS_PER_DOLLAR)] * (came > 0), "the coins are credits, once"
        assert len(self.upstream.requests) == int(came > 0), (
            f"the call is made once by who paid ({len(self.upstream.requests)})"
        )
        assert (status == OK) is (came > 0), f"who paid is answered ({status})"
        assert self.town.coins(self.payer.address) == self.dollars * DOLLAR - came, "who paid has paid once"
        assert self.services.credits.ledger.verify(self.uid) == []
        return came > 0

    def _process(self, documents: KillingDocuments) -> Any:
        """Return the application of another process over a store."""
        return create_app(api_services(self.town, documents, self.upstream, self.clock, self.services))

    def _signed_up(self) -> tuple[Uid, dict[str, str]]:
        """Return a new user, and the headers of a request by the user's key."""
        identity: Any = self.services.ports.identity()
        uid = Uid(identity.sign_up("agent@example.com"))
        person = {"Authorization": f"Bearer {identity.token(uid)}"}
        wanted = {"name": "k", "scopes": ["chat", "top_up"], "spend_cap": {"amount": "1000", "period": "day"}}
        made: Any = self.app.test_client().post("/v1/api-keys", json=wanted, headers=person).json
        return uid, {"Authorization": f"Bearer {made['key']}"}

    def _offer(self) -> Any:
        return offers_in(self.app.test_client().post(CALL, json=BODY, headers=self.headers))[0]


@dataclass
class NodeAgents:
    """Agents on one node, one after another; and the number of payments by fault."""

    seed: int
    town: BaseTown
    tally: Counter[str] = field(default_factory=Counter)
    number: int = 0

    def __post_init__(self) -> None:
        """Seed the choices."""
        self.random = random.Random(self.seed)

    def agent(self, dollars: int = PURSE) -> NodeAgent:
        """Return a new agent, at the next address."""
        agent = NodeAgent(self.town, self.number, dollars)
        self.number += 1
        return agent

    def play(self, name: str) -> None:
        """Play one payment with a fault, and check the laws."""
        fault, dollars = FAULTS[name]
        agent = self.agent(dollars)
        try:
            fault(self, agent)
            status = agent.ask_until_answered()
        finally:
            self.town.facilitator.behave("well")
        is_paid = agent.check(status)
        assert is_paid is (dollars > 0)
        self.tally[f"{name}: {'paid' if is_paid else 'unpaid'}"] += 1

    def commits(self) -> int:
        """Return the number of commits until the call of a paying agent begins, as one agent makes them."""
        if not self.tally[COMMITS]:
            self.tally[COMMITS] = self.agent().commits_of_payment()
        return self.tally[COMMITS]


@contextmanager
def node_agents(seed: int, tally: Counter[str]) -> Iterator[NodeAgents]:
    """Agents on a fresh node, which makes a block of each transaction at once."""
    with base_town(block_seconds=None) as town:
        yield NodeAgents(seed, town, tally)


def answer_lost(_: NodeAgents, agent: NodeAgent) -> None:
    agent.ask()


def down_after_broadcast(agents: NodeAgents, _: NodeAgent) -> None:
    agents.town.facilitator.behave("lost")


def stranger_first(agents: NodeAgents, agent: NodeAgent) -> None:
    """Somebody else brings the authorization to the chain before the agent sends its request."""
    payload = decoded(agent.header)["payload"]
    content, signature = payload["authorization"], bytes.fromhex(payload["signature"][2:])
    numbers = (int(content[name]) for name in ("value", "validAfter", "validBefore"))
    parts = (bytes.fromhex(content["nonce"][2:]), signature[64], signature[:32], signature[32:64])
    hands, usdc = agents.town.hands, agents.town.usdc
    called = hands.call(usdc, "transferWithAuthorization", content["from"], content["to"], *numbers, *parts, sender=2)
    hands.mined(called)


def five_at_once(_: NodeAgents, agent: NodeAgent) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = [each.status_code for each in pool.map(lambda _: agent.ask(), range(AT_ONCE))]
    assert statuses == [OK] * AT_ONCE


def killed(agents: NodeAgents, agent: NodeAgent) -> None:
    """The worker dies before or after one of the commits that bring the payment into the account."""
    agent.ask_a_doomed_worker(agents.random.randrange(2 * agents.commits()))


def no_fault(_: NodeAgents, __: NodeAgent) -> None:
    """Do nothing."""


FAULTS: dict[str, tuple[Fault, int]] = {
    "answer lost": (answer_lost, PURSE),
    "facilitator down after broadcast": (down_after_broadcast, PURSE),
    "stranger broadcasts first": (stranger_first, PURSE),
    "same header five times at once": (five_at_once, PURSE),
    "killed between settle and grant": (killed, PURSE),
    "payer without coins": (no_fault, 0),
}
"""Faults by name, with the dollars that the payer has."""

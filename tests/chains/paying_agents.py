"""Agents that pay by themselves, and everything that may go wrong on the way; the laws that hold all the same.

Each turn has a new agent without credits, and one signed payment. The agent sends the same request until it is
answered. Afterwards the chain tells who paid: the credits of the coins are there once, and the call was made once. Who
did not pay has no credits, and no call was made.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

from functions.http.app import create_app
from shared.ai.openai.passthrough import Passthroughs
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.bootstrap import Services, in_memory
from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.documents import Documents
from shared.kernel.ids import Uid, new_id
from shared.platform.memory.chain import MemoryChain
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.facilitator import MemoryFacilitator
from shared.platform.memory.passthrough import ScriptedPassthrough
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.sweep import PaymentJobs
from tests.api.world import MODEL
from tests.chains.killing import Killed, KillingDocuments
from tests.support.keys import OWN_XPUB
from tests.support.x402_payers import PAYER, STRANGER, decoded, offers_in, signed_header

ENV = {
    "CRYPTO_NETWORKS": "base",
    "EVM_XPUB": OWN_XPUB,
    "X402_FACILITATOR_URL": "https://facilitator.example",
    "RATE_LIMIT_PER_MINUTE": "60000",
    "RATE_LIMIT_BURST": "60000",
}
CALL = "/v1/openai/chat/completions"
DOLLAR = 10**6
CREDITS_PER_DOLLAR = 100
CREDIT = 10**6
PURSE = 100_000 * DOLLAR
ATTEMPTS_MAX = 12
AT_ONCE = 5
OK, WAITING = 200, (409, 500, 503)
LEASE_SECONDS = 95
"""Time after which the lease of a killed worker is over. The authorization still counts then."""
FINAL_BLOCKS = 12
CROWD_PAUSE_SECONDS = 0.01

Turn = Callable[["PayingAgents", "Agent"], None]


class CrowdClock(ManualClock):
    """Clock of a test. In a crowd a waiting thread really waits: else it would move the time of the working one."""

    def __init__(self) -> None:
        super().__init__()
        self.is_crowd = False

    def wait(self, seconds: float) -> None:
        """Move the time forward, or wait for others to finish."""
        if self.is_crowd:
            threading.Event().wait(min(seconds, CROWD_PAUSE_SECONDS))
        else:
            super().wait(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Agent with a key of a user of its own, and the payment that it signed for its call."""

    uid: Uid
    key: str
    body: dict[str, Any]
    header: str
    receiver: str


@dataclass
class PayingAgents:
    """A backend that forgets nothing but the memory of its processes, a chain, and a facilitator with faults."""

    seed: int
    tally: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Give the payer coins, and offer one model."""
        self.random = random.Random(self.seed)
        self.documents = MemoryDocuments()
        self.clock = CrowdClock()
        self.upstream = ScriptedPassthrough()
        first = in_memory(ENV, clock=self.clock, documents=self.documents)
        self.identity: Any = first.ports.identity()
        self.chains = first.ports.chains()
        self.chain = cast("MemoryChain", self.chains["base"])
        self.facilitator = MemoryFacilitator(lambda: self.chains)
        self.services = self.process(self.documents)
        self.services.models.catalogue.put("gpt-4o-mini", MODEL)
        self.app = create_app(self.services)
        self.chain.mine(FINAL_BLOCKS)
        self.chain.send(PAYER.address.lower(), "USDC", PURSE)
        self.chain.mine()

    def process(self, documents: Documents) -> Services:
        """Return the services of a new process on the same world."""
        return in_memory(
            ENV,
            clock=self.clock,
            documents=documents,
            chains=self.chains,
            facilitator=self.facilitator,
            identity=self.identity,
            passthroughs=Passthroughs({DEFAULT_UPSTREAM: self.upstream}),
        )

    def agent(self, **signed: Any) -> Agent:
        """Return a new agent that was refused for missing credits, and has signed the first offer."""
        self.chain.mine()
        uid = self.identity.sign_up(f"{new_id('p')}@example.com")
        person = {"Authorization": f"Bearer {self.identity.token(uid)}"}
        wanted = {"name": "k", "scopes": ["chat", "top_up"], "spend_cap": {"amount": "1000", "period": "day"}}
        key = self.app.test_client().post("/v1/api-keys", json=wanted, headers=person).json["key"]  # type: ignore[index]
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Hi from {uid}"}]}
        refused = self.app.test_client().post(CALL, json=body, headers={"Authorization": f"Bearer {key}"})
        offer = offers_in(refused)[0]
        header = signed_header(offer, self.clock.now() // SECOND, **signed)
        return Agent(uid=uid, key=key, body=body, header=header, receiver=offer["payTo"])

    def ask(self, agent: Agent, app: Any = None) -> Any:
        """Send the agent's request once, with the payment."""
        headers = {"Authorization": f"Bearer {agent.key}", "PAYMENT-SIGNATURE": agent.header}
        return (app or self.app).test_client().post(CALL, json=agent.body, headers=headers)

    def is_asked_to_pay(self, agent: Agent) -> bool:
        """Return True if another call of the agent, without a payment, is offered payments."""
        body = {**agent.body, "messages": [{"role": "user", "content": "Another call"}]}
        headers = {"Authorization": f"Bearer {agent.key}"}
        return bool(offers_in(self.app.test_client().post(CALL, json=body, headers=headers)))

    def ask_until_answered(self, agent: Agent) -> int:
        """Send the same request until the answer is final, and return the status. Time passes, and blocks come."""
        status = 0
        for _ in range(ATTEMPTS_MAX):
            status = self.ask(agent).status_code
            if status not in WAITING:
                break
            self.clock.advance(10 * SECOND)
            self.chain.mine()
        return status

    def play(self, name: str) -> None:
        """Play one turn of this kind, and check the laws."""
        turn, signed = TURNS[name]
        agent = self.agent(**signed)
        turn(self, agent)
        status = self.ask_until_answered(agent)
        self.facilitator.ways = []
        self._every_minute()
        self.check(agent, name, status)

    def check(self, agent: Agent, name: str, status: int) -> None:
        """Check that the coins at the agent's address are credits once, and the call was made once; or neither."""
        came = self.chain.levels(self.chain.block("latest").hash, [agent.receiver], ["USDC"])[agent.receiver, "USDC"]
        granted = self._granted(agent)
        calls = sum(agent.body["messages"] == body.get("messages") for _, body in self.upstream.requests)
        assert granted == came // DOLLAR * CREDITS_PER_DOLLAR * CREDIT, f"{name}: credits are the coins, once"
        assert calls == int(came > 0), f"{name}: the call is made once by who paid"
        assert (status == OK) is (came > 0), f"{name}: who paid is answered ({status})"
        assert self.services.credits.ledger.verify(agent.uid) == []
        self.tally[f"{name}: {'paid' if came else 'unpaid'}"] += 1

    def _granted(self, agent: Agent) -> int:
        """Return the µcr that payments granted to the agent's user, spent or not."""
        found = self.services.payments.store.history(agent.uid, limit=50, after=None).items
        paid = self.services.payments.store.among([each.id for each in found])
        return sum(each.terms.credits for each in paid.values() if each.applied.is_granted)

    def _every_minute(self) -> None:
        """Let time pass until no authorization counts, and do what the schedule does."""
        self.clock.advance(5 * MINUTE)
        self.chain.mine(FINAL_BLOCKS)
        services = self.process(self.documents)
        services.crypto.follower.resume(JobRun("", self.clock, 60.0))
        store, settlement = services.payments.store, services.payments.settlement
        inbox, notices = services.payments.inbox, services.payments.notices
        PaymentJobs(store, settlement, inbox, notices, self.clock).resume(JobRun("", self.clock, 60.0))


def answer_lost(world: PayingAgents, agent: Agent) -> None:
    world.ask(agent)


def down_after_broadcast(world: PayingAgents, agent: Agent) -> None:
    del agent
    world.facilitator.ways = [world.random.choice(["lost", "failed"])]


def down_before_broadcast(world: PayingAgents, agent: Agent) -> None:
    del agent
    world.facilitator.ways = [world.random.choice(["silent", "unmined"])]


def never_sent(world: PayingAgents, agent: Agent) -> None:
    del agent
    world.facilitator.ways = ["lying", "lying", "lying"]


def stranger_first(world: PayingAgents, agent: Agent) -> None:
    content = decoded(agent.header)["payload"]["authorization"]
    nonce = (content["from"].lower(), content["nonce"])
    world.chain.authorize("USDC", nonce, agent.receiver, int(content["value"]))
    if world.random.random() < 0.5:
        world.chain.mine()


def cancelled(world: PayingAgents, agent: Agent) -> None:
    content = decoded(agent.header)["payload"]["authorization"]
    world.chain.authorize("USDC", (content["from"].lower(), content["nonce"]), STRANGER.address, 0)
    world.chain.mine()


def five_at_once(world: PayingAgents, agent: Agent) -> None:
    world.clock.is_crowd = True
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = [each.status_code for each in pool.map(lambda _: world.ask(agent), range(AT_ONCE))]
    world.clock.is_crowd = False
    assert statuses == [OK] * AT_ONCE


def killed(world: PayingAgents, agent: Agent) -> None:
    """The worker dies before or after one of the commits that bring the payment into the account."""
    moment = world.random.randrange(2 * commits_of_payment(world))
    app = create_app(world.process(KillingDocuments(world.documents, moment)))
    try:
        world.ask(agent, app)
    except Killed:
        world.tally["killed workers"] += 1
    address = world.services.crypto.agent_wallets.address(agent.uid)
    if address is not None and address.authorized:
        assert not world.is_asked_to_pay(agent), "a payment that may still be sent is not asked for again"
    if world.random.random() < 0.5:
        world.facilitator.ways = ["failed"]
    world.clock.advance(LEASE_SECONDS * SECOND)
    world.chain.mine()


def honest(world: PayingAgents, agent: Agent) -> None:
    del world, agent


def commits_of_payment(world: PayingAgents) -> int:
    """Return the number of commits until the call of a paying agent begins, as one agent makes them."""
    if "commits until the call" not in world.tally:
        counting = KillingDocuments(world.documents, None)
        agent, app = world.agent(), create_app(world.process(counting))
        headers = {"Authorization": f"Bearer {agent.key}"}
        offers = offers_in(app.test_client().post("/v1/payments/x402", headers=headers))
        before = counting.commits
        header = signed_header(offers[0], world.clock.now() // SECOND)
        paid = app.test_client().post("/v1/payments/x402", headers={**headers, "PAYMENT-SIGNATURE": header})
        assert paid.status_code == 201, paid.text
        world.tally["commits until the call"] = counting.commits - before
    return world.tally["commits until the call"]


TURNS: dict[str, tuple[Turn, dict[str, Any]]] = {
    "answer lost": (answer_lost, {}),
    "facilitator down after broadcast": (down_after_broadcast, {}),
    "facilitator down before broadcast": (down_before_broadcast, {}),
    "facilitator lies": (never_sent, {}),
    "stranger broadcasts first": (stranger_first, {}),
    "authorization cancelled": (cancelled, {}),
    "same header five times at once": (five_at_once, {}),
    "killed between settle and grant": (killed, {}),
    "payer without coins": (honest, {"key": STRANGER}),
    "signature of another": (honest, {"key": STRANGER, "authorization": {"from": PAYER.address}}),
}

"""A world whose agents pay with the call that needs credits."""

from collections.abc import Mapping
from typing import Any, cast

from shared.kernel.clock import SECOND
from shared.platform.memory.chain import MemoryChain
from shared.platform.memory.facilitator import MemoryFacilitator
from tests.api.world import World
from tests.support.keys import OWN_XPUB
from tests.support.x402_payers import PAYER, offers_in, signed_header

ENV = {
    "CRYPTO_NETWORKS": "base,polygon",
    "EVM_XPUB": OWN_XPUB,
    "X402_FACILITATOR_URL": "https://facilitator.example",
    "PUBLIC_URL": "https://api.example/api",
}
PACKAGE = {"title": "1,000 credits", "price": "10.00", "currency": "usd", "credits": "1000", "bonus": "50"}
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
CALL = "/openai/chat/completions"
CAP = {"amount": "2000", "period": "day"}
DOLLAR = 1_000_000


def rich(world: World) -> World:
    """A world whose payer has coins on all networks."""
    for chain in chains_of(world).values():
        chain.mine(12)
        chain.send(PAYER.address.lower(), "USDC", 100 * DOLLAR)
        chain.mine()
    return world


def chains_of(world: World) -> Mapping[str, MemoryChain]:
    return cast("Mapping[str, MemoryChain]", world.services.ports.chains())


def facilitator_of(world: World) -> MemoryFacilitator:
    return cast("MemoryFacilitator", world.services.ports.facilitator())


def now(world: World) -> int:
    return int(world.clock.now() // SECOND)


def refused(agent: Any, **options: Any) -> Any:
    """A call without credits, which has offers."""
    answer = agent.post(CALL, BODY, **options)
    assert answer.status_code == 402
    return answer


def paid(agent: Any, header: str, body: Any = None, **options: Any) -> Any:
    return agent.post(CALL, body or BODY, headers={"PAYMENT-SIGNATURE": header}, **options)


def header_for(world: World, agent: Any, number: int = 0, **options: Any) -> str:
    return signed_header(offers_in(refused(agent))[number], now(world), **options)


def grants(agent: Any) -> list[str]:
    history = agent.world.services.payments.store.history(agent.uid, limit=100, after=None)
    return [str(each.data["status"]) for each in history.items]

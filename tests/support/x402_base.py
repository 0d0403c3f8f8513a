"""Base's network in a test: a node with Base's chain id, a token at USDC's address, a facilitator, and the API served.

A signature made there would be good on the real Base, so payers have fresh keys that hold nothing anywhere.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from werkzeug.serving import make_server

from emulator.chains.anvil import Anvil
from emulator.chains.facilitator import FacilitatorStandIn
from emulator.chains.hands import Contract, Hands
from functions.http.app import create_app
from shared.ai.openai.passthrough import Passthroughs
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.bootstrap import Services, in_memory
from shared.bootstrap.chain_adapters import configured_chains
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.documents import Documents
from shared.payments.chains.presets import PRESETS
from shared.platform.addresses.keccak import checksummed
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.passthrough import ScriptedPassthrough
from shared.platform.x402.facilitator import HttpFacilitator
from tests.api.world import MODEL
from tests.support.keys import OWN_XPUB

CHAIN_ID = 8453
BLOCK_SECONDS = 1
USDC = PRESETS["base"].assets["USDC"].contract
DOLLAR = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseTown:
    """Node with Base's chain id, where USDC is at its address, and a facilitator."""

    node: Anvil
    hands: Hands
    usdc: Contract
    facilitator: FacilitatorStandIn

    def give(self, address: str, dollars: int) -> None:
        """Give somebody USDC."""
        self.hands.mined(self.hands.call(self.usdc, "mint", address, dollars * DOLLAR))

    def coins(self, address: str) -> int:
        """Return the atomic units of USDC of an address."""
        return int(self.hands.ask(self.usdc, "balanceOf", address))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedApi:
    """The API over memory, with Base on the node, at an address."""

    url: str
    services: Services
    upstream: ScriptedPassthrough

    def key(self, **wanted: Any) -> tuple[str, str]:
        """Return a new user and an API key that may top up."""
        identity: Any = self.services.ports.identity()
        uid = identity.sign_up("agent@example.com")
        token = identity.token(uid)
        body = {"name": "k", "scopes": ["chat", "top_up"], "spend_cap": {"amount": "1000", "period": "day"}, **wanted}
        app = create_app(self.services).test_client()
        made = app.post("/v1/api-keys", json=body, headers={"Authorization": f"Bearer {token}"})
        assert made.status_code == 201, made.text
        return uid, str((made.json or {})["key"])


@contextmanager
def base_town(block_seconds: float | None = BLOCK_SECONDS) -> Iterator[BaseTown]:
    """A node with Base's chain id. Blocks come at this pace; if None, each transaction makes a block at once."""
    with Anvil(chain_id=CHAIN_ID, block_seconds=block_seconds) as node:
        if block_seconds is None:
            node.rpc("evm_setAutomine", True)
        hands = Hands(node)
        usdc = hands.place("usdc", USDC)
        with FacilitatorStandIn([node]) as facilitator:
            yield BaseTown(node=node, hands=hands, usdc=usdc, facilitator=facilitator)


def settings_of(town: BaseTown) -> Mapping[str, str]:
    """Return the settings of the API: Base as preset, but with the genesis of the node."""
    return {
        "CRYPTO_NETWORKS": "base",
        "EVM_XPUB": OWN_XPUB,
        "BASE_GENESIS": town.node.genesis,
        "BASE_IS_LIVE": "false",
        "BASE_RPC_URLS": town.node.url,
        "X402_FACILITATOR_URL": town.facilitator.url,
    }


def api_services(
    town: BaseTown,
    documents: Documents,
    upstream: ScriptedPassthrough,
    clock: Clock | None = None,
    like: Services | None = None,
) -> Services:
    """Return the services of one process. `like` is another process with the same users."""
    env, moving = settings_of(town), clock or SystemClock()
    known = like or in_memory(env, clock=moving)
    return in_memory(
        env,
        clock=moving,
        documents=documents,
        identity=known.ports.identity(),
        passthroughs=Passthroughs({DEFAULT_UPSTREAM: upstream}),
        facilitator=HttpFacilitator(town.facilitator.url, checksummed),
        chains=configured_chains(known.crypto.networks, known.settings.chain_sources),
    )


@contextmanager
def served_api(town: BaseTown) -> Iterator[ServedApi]:
    """The API at an address on this machine."""
    upstream = ScriptedPassthrough()
    services = api_services(town, MemoryDocuments(), upstream)
    services.models.catalogue.put("gpt-4o-mini", MODEL)
    server = make_server("127.0.0.1", 0, create_app(services), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield ServedApi(url=f"http://127.0.0.1:{server.server_port}/v1", services=services, upstream=upstream)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

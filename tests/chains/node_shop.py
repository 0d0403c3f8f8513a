"""A shop whose EVM networks are real nodes, and everything that can happen to their chains."""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from emulator.chains.anvil import Anvil
from emulator.chains.hands import GAS, Hands
from emulator.chains.laptop import LaptopNetwork, settings_of
from shared.bootstrap.chain_adapters import configured_chains
from shared.kernel.chain_settings import sources_setting
from shared.kernel.clock import SECOND
from shared.kernel.settings import parse_settings
from shared.payments.chains.networks import Network
from shared.payments.payment import Payment
from shared.platform.memory.clock import ManualClock
from tests.support.coins import CoinShop

ACCOUNTS = 80
SLOTS = 6
"""A block is final when twelve are above it: deeper than any reorg here."""
DEPTH_MAX = 10
FATES = ("kept", "kept", "moved", "replaced", "dropped")
REPLACEMENT = 2_000_000
LISTED = (
    LaptopNetwork(
        name="first",
        title="First",
        port="",
        chain_id=31_337,
        coin="ETH",
        tokens={"USDC": "usdc"},
        feeds=("ETH", "USDC"),
        tiers="1000:2,any:finalized",
        has_sequencer=True,
    ),
    LaptopNetwork(
        name="second",
        title="Second",
        port="",
        chain_id=31_338,
        coin="POL",
        tokens={"USDC": "usdc", "USDT": "usdt"},
        feeds=("POL", "USDC", "USDT"),
        tiers="500:3,1000:safe,any:finalized",
    ),
)
REQUIRED = {"GCLOUD_PROJECT": "demo", "LEDGER_SIGNING_KEY": ""}


@dataclass(frozen=True)
class Sent:
    """A transaction: the height of its block, the transaction itself, and who sends to whom."""

    height: int
    raw: str
    account: str
    nonce: str
    receiver: str


@dataclass
class Place:
    """One network: its node, and the transactions that a reorg may reach, by the height of their block."""

    node: Anvil
    hands: Hands
    tokens: Mapping[str, str]
    sent: list[Sent] = field(default_factory=list)
    next_account: int = 1

    def height(self) -> int:
        return int(self.node.rpc("eth_blockNumber"), 16)


class NodeShop(CoinShop):
    """A shop over two nodes. Time passes by the clock of the test, and blocks have that time."""

    def __init__(self, places: Mapping[str, Place], seed: int) -> None:
        self.places = places
        self.random = random.Random(seed)
        self.seed = seed
        self.fates: Counter[str] = Counter()
        super().__init__(clock=ManualClock(int(time.time()) * SECOND))
        settings = parse_settings({**REQUIRED, **self.settings}, secrets=())
        self.served = dict(configured_chains(self.networks, settings.chain_sources))

    def address(self, network: Network, index: int) -> str:
        return "0x" + hashlib.sha256(f"{self.seed}:{network.family}:{index}".encode()).hexdigest()[:40]

    def pay(self, network: str, asset: str, address: str, amount: int) -> None:
        """Send coins into the pool, each time from another account."""
        place = self.places[network]
        place.next_account = place.next_account % (ACCOUNTS - 1) + 1
        token = place.tokens.get(asset)
        if token is None:
            sent = place.hands.send(address, value=amount, sender=place.next_account)
        else:
            data = self.minting(address, amount)
            sent = place.hands.send(token, data, sender=place.next_account)
        nonce = place.node.rpc("eth_getTransactionByHash", sent)["nonce"]
        account = place.hands.accounts[place.next_account]
        place.sent.append(Sent(place.height() + 1, place.hands.raw(sent), account, nonce, address))

    @staticmethod
    def minting(address: str, amount: int) -> str:
        return f"0x40c10f19{int(address, 16):064x}{amount:064x}"

    def mine(self, network: str, blocks: int = 1) -> None:
        """Add blocks at the time of the clock, which moves on."""
        place = self.places[network]
        for _ in range(blocks):
            self.clock.advance(SECOND)
            place.node.rpc("evm_setNextBlockTimestamp", self.clock.now() // SECOND)
            place.hands.mine()

    def reorg(self, network: str, depth: int, fate: str = "") -> None:
        """Replace blocks. Each of their transactions is kept, moved, replaced by another payment, or dropped.

        `fate` is that of all transactions; "" for another one of each.
        """
        place = self.places[network]
        first, last = place.height() - depth + 1, place.height()
        reached = [each for each in place.sent if first <= each.height <= last]
        place.sent = [each for each in place.sent if each not in reached]
        kept: list[tuple[Any, int]] = []
        for sent in reached:
            met = fate or self.random.choice(FATES)
            self.fates[met] += 1
            offset = sent.height - first if met == "kept" else self.random.randrange(depth)
            if met == "replaced":
                kept.append((self._replacement(place, sent), offset))
            elif met != "dropped":
                kept.append((sent.raw, offset))
                place.sent.append(replace(sent, height=first + offset))
        place.hands.reorg(depth, kept)

    def sweep(self, network: str, order: Payment) -> None:
        """Send everything away from the order's address, as the owner of its key does, and mine."""
        assert order.quote is not None
        place, owner = self.places[network], order.quote.address
        place.node.rpc("anvil_impersonateAccount", owner)
        place.node.rpc("anvil_setNextBlockBaseFeePerGas", "0x0")
        token = place.tokens.get(order.quote.asset)
        _, head = self.block_at(network, "latest")
        amount = self.level(network, order.quote.asset, owner, head)
        free: dict[str, Any] = {"from": owner, "gasPrice": "0x0"}
        if token is None:
            place.hands.send(place.hands.accounts[0], value=amount, **free)
        else:
            place.hands.send(token, f"0xa9059cbb{int(place.hands.accounts[0], 16):064x}{amount:064x}", **free)
        self.mine(network)

    def _replacement(self, place: Place, sent: Sent) -> dict[str, str]:
        """Another payment by the same sender with the same number, which so takes the place of the first."""
        data = self.minting(sent.receiver, REPLACEMENT)
        to = next(iter(place.tokens.values()))
        return {"from": sent.account, "nonce": sent.nonce, "to": to, "data": data, "gas": hex(GAS)}

    def level(self, network: str, asset: str, address: str, block: str) -> int:
        """The balance as the node itself tells it, by another way than the product's."""
        place = self.places[network]
        at = {"blockHash": block}
        token = place.tokens.get(asset)
        if token is None:
            return int(place.node.rpc("eth_getBalance", address, at), 16)
        call = {"to": token, "data": f"0x70a08231{int(address, 16):064x}"}
        return int(place.node.rpc("eth_call", call, at), 16)

    def block_at(self, network: str, at: str) -> tuple[int, str]:
        """Height and hash of a block, as the node itself tells them."""
        found = self.places[network].node.rpc("eth_getBlockByNumber", at, False)
        return int(found["number"], 16), found["hash"]


@contextmanager
def node_shop(seed: int, sources: Mapping[str, Sequence[str]] | None = None) -> Iterator[NodeShop]:
    """A shop over two fresh nodes. The nodes end with the block."""
    env: dict[str, str] = {"CRYPTO_NETWORKS": ",".join(each.name for each in LISTED)}
    places: dict[str, Place] = {}
    with ExitStack() as stack:
        for listed in LISTED:
            node = stack.enter_context(Anvil(chain_id=listed.chain_id, accounts=ACCOUNTS, slots=SLOTS))
            told = settings_of(listed, node, node.url)
            env |= told
            pairs = (each.split(":") for each in told[f"{listed.name.upper()}_TOKENS"].split(","))
            places[listed.name] = Place(node, Hands(node), {name: contract for name, contract, *_ in pairs})
            Hands(node).mine(3 * SLOTS)
        kind: type[NodeShop] = type("Shop", (NodeShop,), {"settings": env})
        yield kind(places, seed)


def sources_of(env: Mapping[str, str], network: str, urls: Sequence[str]) -> dict[str, str]:
    """The settings with other sources of one network."""
    return {**env, sources_setting(network): ",".join(urls)}

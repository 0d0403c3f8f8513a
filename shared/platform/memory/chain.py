"""Chain in memory: blocks that a test mines, reorganises and makes fail."""

import hashlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shared.kernel.clock import SECOND, Clock, Millis
from shared.payments.chains.amounts import rate_of
from shared.payments.chains.authorizations import TokenDomain
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import (
    AssetName,
    Block,
    BlockGone,
    ChainUnavailable,
    FeedRound,
    Fees,
    Levels,
    NetworkName,
    Nonce,
    SeenTransaction,
    Transfer,
)
from shared.platform.memory.prices import RATES

SAFE_DEPTH = 4
FINAL_DEPTH = 8
FEED_DECIMALS = 8
COIN_DECIMALS = 18
"""Decimals of a token that is not listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """Coins that came to an address, or left it (a negative `amount`)."""

    transaction: str
    sender: str
    address: str
    asset: AssetName
    amount: int
    nonce: Nonce | None = None
    """Payer and nonce of a signed authorization, whose payer gives the coins; None for other transfers."""


@dataclass(frozen=True, slots=True)
class _MinedBlock:
    block: Block
    moves: tuple[_Move, ...] = ()
    balances: Mapping[tuple[str, AssetName], int] = field(default_factory=dict)
    spent: frozenset[str] = frozenset()
    used: frozenset[tuple[AssetName, Nonce]] = frozenset()


class MemoryChain:
    """Chain of a network. Time passes by the clock alone; blocks are mined by `mine`. Safe to share between threads.

    `separator` returns the hash of a token's domain; without it no token takes signed authorizations.

    On Bitcoin, levels are the sums that ever came, so that coins that leave lower nothing.
    """

    def __init__(
        self, network: Network, clock: Clock, separator: Callable[[TokenDomain, int, str], str] | None = None
    ) -> None:
        self._network = network
        self._separator = separator
        self._clock = clock
        self._lock = threading.RLock()
        self._count = 0
        self._pool: list[_Move] = []
        self._chain = [_MinedBlock(replace(self._block(0, "", clock.now()), hash=network.genesis))]
        self._unavailable = False
        self.calls = 0
        self.unread = set[AssetName]()
        """Assets of which `levels` and `token_domain` have no answer."""
        self.sanctioned = set[str]()
        """Addresses that the network's sanctions oracle lists."""
        self.rates = dict(RATES)
        """USD per coin that the network's price feeds tell, by asset."""

    # The hands of a test ---------------------------------------------------------------------------------------------

    def send(self, address: str, asset: AssetName, amount: int, *, sender: str = "0xpayer") -> str:
        """Put a transfer into the pool, and return the hash of the transaction."""
        with self._lock:
            self._count += 1
            name = self._hash("transaction", str(self._count))
            self._pool.append(_Move(transaction=name, sender=sender, address=address, asset=asset, amount=amount))
            return name

    def authorize(self, asset: AssetName, nonce: Nonce, receiver: str, amount: int) -> str:
        """Put a signed authorization into the pool, and return the hash. Without its coins it cancels the nonce."""
        with self._lock:
            self._count += 1
            name = self._hash("authorization", str(self._count))
            move = _Move(transaction=name, sender=nonce[0], address=receiver, asset=asset, amount=amount, nonce=nonce)
            self._pool.append(move)
            return name

    def asset_at(self, contract: str) -> AssetName:
        """Return the name of the token with this contract."""
        return next(each.name for each in self._network.assets.values() if each.contract == contract)

    def mine(self, blocks: int = 1) -> Block:
        """Mine blocks at the present time; the first takes everything in the pool. Return the head."""
        with self._lock:
            for _ in range(blocks):
                self._append(self._pool)
                self._pool = []
            return self._chain[-1].block

    def drop(self, transaction: str) -> None:
        """Take a transaction out of the pool, as if it was evicted or replaced."""
        with self._lock:
            self._pool = [each for each in self._pool if each.transaction != transaction]

    def sweep(self, address: str) -> None:
        """Send everything away from an address, with the next block."""
        with self._lock:
            for (owner, asset), balance in self._chain[-1].balances.items():
                if owner == address and balance:
                    self._count += 1
                    name = self._hash("sweep", str(self._count))
                    self._pool.append(
                        _Move(transaction=name, sender=address, address=address, asset=asset, amount=-balance)
                    )

    def reorg(self, depth: int, *, keep: Collection[str] | None = None, delay: int = 0) -> None:
        """Replace the last `depth` blocks by others of the same heights.

        Transactions in `keep` (None: all) move `delay` blocks further up, into the pool if there is no such block; the
        others are gone for good.
        """
        with self._lock:
            gone = self._chain[-depth:]
            del self._chain[-depth:]
            moved: list[list[_Move]] = [[] for _ in range(depth + delay)]
            for place, mined in enumerate(gone):
                moved[place + delay] += [each for each in mined.moves if keep is None or each.transaction in keep]
            for place, mined in enumerate(gone):
                self._append(moved[place], mined.block.time)
            for moves in moved[depth:]:
                self._pool += moves

    def is_unavailable(self, is_down: bool) -> None:  # noqa: FBT001  # a switch of a test
        """Answer nothing from now on, or answer again."""
        with self._lock:
            self._unavailable = is_down

    # The port --------------------------------------------------------------------------------------------------------

    @property
    def network(self) -> NetworkName:
        """Return the network's name; see `Chain.network`."""
        return self._network.name

    @property
    def scans_blocks(self) -> bool:
        """Return True for Bitcoin; see `Chain.scans_blocks`."""
        return self._network.family == "bitcoin"

    def block(self, at: int | str) -> Block:
        """Return a block; see `Chain.block`."""
        return self._mined(at).block

    def levels(self, block: str, addresses: Sequence[str], assets: Sequence[AssetName]) -> Levels:
        """Return the levels in the state after a block; see `Chain.levels`."""
        balances = self._mined(block).balances
        told = [asset for asset in assets if asset not in self.unread]
        return {(address, asset): balances.get((address, asset), 0) for address in addresses for asset in told}

    def spent(self, block: str, addresses: Sequence[str]) -> Collection[str]:
        """Return the addresses that sent something; see `Chain.spent`."""
        return self._mined(block).spent & set(addresses)

    def received_in(self, block: str, addresses: Collection[str]) -> Mapping[str, int]:
        """Return the arrivals in one block; see `Chain.received_in`."""
        found: dict[str, int] = {}
        for move in self._mined(block).moves:
            if move.address in addresses and move.amount > 0 and move.asset == self._network.coin.name:
                found[move.address] = found.get(move.address, 0) + move.amount
        return found

    def pending(self, addresses: Sequence[str]) -> Sequence[tuple[str, Transfer]]:
        """Return the transfers in the pool, on Bitcoin; see `Chain.pending`."""
        self._asked()
        if not self.scans_blocks:
            return []
        with self._lock:
            return [(each.address, _transfer(each, None)) for each in self._pool if each.address in addresses]

    def transfers(self, address: str, asset: AssetName, first: int, last: int) -> Sequence[Transfer]:
        """Return the transfers in a range of blocks; see `Chain.transfers`."""
        self._asked()
        with self._lock:
            return [
                _transfer(move, mined.block)
                for mined in self._chain[first : last + 1]
                for move in mined.moves
                if (move.address, move.asset) == (address, asset) and move.amount > 0
            ]

    def transaction(self, transaction: str) -> SeenTransaction | None:
        """Return the state of a transaction; see `Chain.transaction`."""
        self._asked()
        with self._lock:
            for mined in self._chain:
                if any(each.transaction == transaction for each in mined.moves):
                    return SeenTransaction(transaction=transaction, block=mined.block, succeeded=True)
            is_waiting = any(each.transaction == transaction for each in self._pool)
            return SeenTransaction(transaction=transaction, block=None, succeeded=True) if is_waiting else None

    def fees(self) -> Fees:
        """Return fees of one unit; see `Chain.fees`."""
        self._asked()
        return Fees(base=1, tip=1)

    def broadcast(self, raw: bytes) -> str:
        """Take any transaction, without effect; see `Chain.broadcast`."""
        self._asked()
        return self._hash("raw", raw.hex())

    def chain_id(self) -> int:
        """Return the network's chain id; see `Contracts.chain_id`."""
        self._asked()
        return self._network.chain_id or 0

    def decimals(self, contract: str) -> int:
        """Return the decimals of a listed token; see `Contracts.decimals`."""
        self._asked()
        listed = {each.contract: each.decimals for each in self._network.assets.values()}
        return listed.get(contract, COIN_DECIMALS)

    def holdings(self, contract: str, addresses: Sequence[str]) -> Mapping[str, int]:
        """Return the units of an asset that a test has sent by the contract's name; see `Contracts.holdings`."""
        balances = self._mined("latest").balances
        return {each: balances[(each, contract)] for each in addresses if balances.get((each, contract))}

    def is_sanctioned(self, oracle: str, address: str) -> bool:
        """Return True if a test has listed the address; see `Contracts.is_sanctioned`."""
        self._asked()
        return address in self.sanctioned

    def token_domain(self, contract: str) -> TokenDomain | None:
        """Return the domain of USDC; other tokens take no authorizations. See `Tokens.token_domain`."""
        self._asked()
        asset = self.asset_at(contract)
        if asset != "USDC" or asset in self.unread or self._separator is None:
            return None
        domain = TokenDomain(name="USD Coin", version="2")
        return replace(domain, separator=self._separator(domain, self._network.chain_id or 0, contract))

    def used_nonces(self, block: str, contract: str, nonces: Collection[Nonce]) -> Collection[Nonce]:
        """Return the used nonces in the state after a block; see `Tokens.used_nonces`."""
        used = self._mined(block).used
        asset = self.asset_at(contract)
        return frozenset(nonce for nonce in nonces if (asset, nonce) in used)

    def feed_round(self, contract: str) -> FeedRound:
        """Return the rate that is set for the feed's asset, as of now; a sequencer is up. See `Contracts`."""
        self._asked()
        now = self._clock.now()
        if contract == self._network.sequencer_feed:
            return FeedRound(answer=0, decimals=0, started_at=1, updated_at=now)
        asset = next(name for name, feed in self._network.feeds.items() if feed.contract == contract)
        if asset not in self.rates:
            raise ChainUnavailable(self.network, "the feed tells no price")
        answer = int(rate_of(self.rates[asset]) * 10**FEED_DECIMALS)
        return FeedRound(answer=answer, decimals=FEED_DECIMALS, started_at=now, updated_at=now)

    # Inside ----------------------------------------------------------------------------------------------------------

    def _asked(self) -> None:
        with self._lock:
            self.calls += 1
            if self._unavailable:
                raise ChainUnavailable(self.network, "down")

    def _mined(self, at: int | str) -> _MinedBlock:
        """Return a block of the present chain. Raises BlockGone, ChainUnavailable."""
        self._asked()
        with self._lock:
            depths = {"latest": 0, "safe": SAFE_DEPTH, "finalized": FINAL_DEPTH}
            if isinstance(at, str) and at in depths:
                return self._chain[max(0, len(self._chain) - 1 - depths[at])]
            for mined in self._chain if isinstance(at, str) else self._chain[at : at + 1]:
                if isinstance(at, int) or mined.block.hash == at:
                    return mined
        raise BlockGone(self.network)

    def _append(self, moves: Sequence[_Move], time: Millis | None = None) -> None:
        """Add a block with the moves that succeed, at the time of the clock unless `time` is given."""
        last = self._chain[-1]
        balances, spent, used = dict(last.balances), set(last.spent), set(last.used)
        done: list[_Move] = []
        for move in moves:
            key = (move.address, move.asset)
            if move.nonce is not None:
                source = (move.nonce[0], move.asset)
                if (move.asset, move.nonce) in used or balances.get(source, 0) < move.amount:
                    continue
                used.add((move.asset, move.nonce))
                balances[source] = balances.get(source, 0) - move.amount
            if move.amount < 0:
                spent.add(move.address)
                if self.scans_blocks or balances.get(key, 0) + move.amount < 0:
                    continue
            balances[key] = balances.get(key, 0) + move.amount
            done.append(move)
        block = self._block(last.block.height + 1, last.block.hash, self._clock.now() if time is None else time)
        self._chain.append(_MinedBlock(block, tuple(done), balances, frozenset(spent), frozenset(used)))

    def _block(self, height: int, parent: str, time: Millis) -> Block:
        self._count += 1
        name = self._hash("block", str(height), str(self._count))
        return Block(height=height, hash=name, parent=parent, time=time // SECOND * SECOND)

    def _hash(self, *parts: str) -> str:
        return "0x" + hashlib.sha256("\n".join((self._network.name, *parts)).encode()).hexdigest()


def _transfer(move: _Move, block: Block | None) -> Transfer:
    return Transfer(transaction=move.transaction, sender=move.sender, amount=move.amount, block=block)

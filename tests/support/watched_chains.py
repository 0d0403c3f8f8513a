"""A small chain for tests of the watch: blocks with levels, that tests extend, fork, silence and count."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from shared.kernel.clock import Clock
from shared.kernel.documents import Document, Documents, Query, Write
from shared.payments.chains.address_book import AddressesDisagree
from shared.payments.chains.networks import Asset, Family, Network, Tier
from shared.payments.chains.ports import (
    AssetName,
    Block,
    BlockGone,
    ChainUnavailable,
    Fees,
    NetworkName,
    SeenTransaction,
    Transfer,
)
from shared.platform.memory.clock import ManualClock


def evm_network(name: NetworkName = "base") -> Network:
    """Return an EVM network with a coin and two tokens, and a block every 2 s."""
    names: Mapping[str, str] = {"ETH": "", "USDC": "0x" + "11" * 20, "USDT": "0x" + "22" * 20}
    assets = {each: Asset(name=each, contract=contract, decimals=6) for each, contract in names.items()}
    return _network(name, "evm", 8_453, 2.0, assets)


def bitcoin_network() -> Network:
    """Return a network that is read block by block."""
    return _network("bitcoin", "bitcoin", None, 600.0, {"BTC": Asset(name="BTC", contract="", decimals=8)})


def _network(
    name: NetworkName, family: Family, chain_id: int | None, block_seconds: float, assets: Mapping[str, Asset]
) -> Network:
    return Network(
        name=name,
        title=name.title(),
        family=family,
        chain_id=chain_id,
        genesis="0x00",
        is_live=False,
        block_seconds=block_seconds,
        tiers=(Tier(usd_max=None, depth=10),),
        minimum_usd_cents=10,
        assets=assets,
    )


@dataclass(slots=True)
class PlayedBlock:
    """Block, the levels after the block, and what came in the block."""

    block: Block
    levels: dict[tuple[str, AssetName], int]
    came: dict[str, int]


@dataclass(slots=True)
class PlayedChain:
    """Chain whose blocks a test makes. `fault` is the reason why no call is answered; "" if calls are answered."""

    clock: Clock
    network: NetworkName = "base"
    scans_blocks: bool = False
    blocks: list[PlayedBlock] = field(default_factory=list)
    fault: str = ""
    silent_assets: set[AssetName] = field(default_factory=set)
    lag: int = 0
    """Number of blocks by which the source is behind."""
    pool: dict[str, Transfer] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    size: int = 0
    """Bytes of all answers, roughly."""
    branch: int = 0
    is_pool_silent: bool = False
    reading_seconds: float = 0
    """Time that passes while a block is read."""

    def mine(self, coming: Mapping[tuple[str, AssetName], int] | None = None, *, number: int = 1) -> None:
        """Append blocks of now; in the last of them this comes, or leaves if negative."""
        for _ in range(number - 1):
            self._append({})
        self._append(coming or {})

    def reorganise(self, depth: int, coming: Mapping[tuple[str, AssetName], int] | None = None) -> None:
        """Replace the newest blocks by others, in the last of which this comes."""
        del self.blocks[-depth:]
        self.branch += 1
        self.mine(coming, number=depth)

    def _append(self, coming: Mapping[tuple[str, AssetName], int]) -> None:
        last = self.blocks[-1] if self.blocks else None
        height = last.block.height + 1 if last else 0
        levels = dict(last.levels) if last else {}
        for pair, amount in coming.items():
            levels[pair] = levels.get(pair, 0) + amount
        block = Block(
            height=height,
            hash=f"0x{self.branch:04x}{height:08x}",
            parent=last.block.hash if last else "",
            time=self.clock.now(),
        )
        came = {address: amount for (address, _), amount in coming.items() if amount > 0}
        self.blocks.append(PlayedBlock(block=block, levels=levels, came=came))

    def _asked(self, call: str, size: int) -> None:
        self.calls[call] += 1
        self.size += size
        if self.fault:
            raise ChainUnavailable(self.network, self.fault)

    def block(self, at: int | str) -> Block:
        """Return a block; see `Chain.block`."""
        self._asked("block", 200)
        if isinstance(at, str):
            return self.blocks[len(self.blocks) - 1 - self.lag].block if at == "latest" else self._at(at).block
        if at >= len(self.blocks):
            raise BlockGone(self.network)
        return self.blocks[at].block

    def _at(self, block: str) -> PlayedBlock:
        found = next((each for each in reversed(self.blocks) if each.block.hash == block), None)
        if found is None:
            raise BlockGone(self.network)
        return found

    def levels(
        self, block: str, addresses: Sequence[str], assets: Sequence[AssetName]
    ) -> Mapping[tuple[str, AssetName], int]:
        """Return levels; see `Chain.levels`."""
        self._asked("levels", 32 * len(addresses) * len(assets))
        assert len(addresses) <= 1_000, "a call has at most 1 000 addresses"
        known = self._at(block).levels
        told = [asset for asset in assets if asset not in self.silent_assets]
        return {(address, asset): known.get((address, asset), 0) for address in addresses for asset in told}

    def spent(self, block: str, addresses: Sequence[str]) -> Collection[str]:
        """Return no address; see `Chain.spent`."""
        self._asked("spent", 32 * len(addresses))
        return ()

    def received_in(self, block: str, addresses: Collection[str]) -> Mapping[str, int]:
        """Return what came in a block; see `Chain.received_in`."""
        self._asked("received_in", 1_000_000)
        self.clock.wait(self.reading_seconds)
        return {address: amount for address, amount in self._at(block).came.items() if address in addresses}

    def pending(self, addresses: Sequence[str]) -> Sequence[tuple[str, Transfer]]:
        """Return the transfers in the pool; see `Chain.pending`."""
        self._asked("pending", 100 * len(addresses))
        if self.is_pool_silent:
            raise ChainUnavailable(self.network, "silent")
        return [(address, self.pool[address]) for address in addresses if address in self.pool]

    def transfers(self, address: str, asset: AssetName, first: int, last: int) -> Sequence[Transfer]:
        """Return no evidence; see `Chain.transfers`."""
        self._asked("transfers", 100)
        return ()

    def transaction(self, transaction: str) -> SeenTransaction | None:
        """Return None; see `Chain.transaction`."""
        self._asked("transaction", 100)
        return None

    def fees(self) -> Fees:
        """Return fees; see `Chain.fees`."""
        self._asked("fees", 100)
        return Fees(base=1, tip=1)

    def broadcast(self, raw: bytes) -> str:
        """Refuse; see `Chain.broadcast`."""
        raise NotImplementedError


@dataclass(slots=True)
class CountedDocuments:
    """Database that counts documents that are read, and commits."""

    inner: Documents
    reads: int = 0
    commits: int = 0

    def get(self, path: str) -> Document | None:
        """Return the document; see `Documents.get`."""
        self.reads += 1
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """Return the documents; see `Documents.get_all`."""
        self.reads += len(paths)
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        """Return the matching documents; see `Documents.query`."""
        found = self.inner.query(query)
        self.reads += max(1, len(found))
        return found

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = 10.0) -> list[object]:
        """Apply all writes; see `Documents.commit`."""
        self.commits += 1
        return self.inner.commit(writes, timeout_seconds=timeout_seconds)


@dataclass(slots=True)
class NumberedAddresses:
    """Addresses and indices without keys. Reading the number of indices counts as one read, as of a document."""

    documents: CountedDocuments
    count: int = 0
    disagreed: frozenset[int] = frozenset()
    """Indices whose addresses two implementations derive differently."""

    def taken(self, family: Family) -> int:
        """Return the number of taken indices."""
        del family
        self.documents.reads += 1
        return self.count

    def addresses(self, family: Family, indices: Sequence[int]) -> Mapping[int, str]:
        """Return the addresses of the taken indices."""
        if self.disagreed & set(indices):
            raise AddressesDisagree(family, min(self.disagreed))
        return {index: address_of(family, index) for index in indices if index < self.count}


def address_of(family: Family, index: int) -> str:
    """Return the address of an index."""
    return f"{family}-{index:040x}"


@dataclass(slots=True)
class NotedFollower:
    """Follower that notes what it follows. `finals` are final at once. `fault` is raised for each of the `broken`.

    `broken` None: for every index.
    """

    followed: list[tuple[int, NetworkName]] = field(default_factory=list)
    finals: set[int] = field(default_factory=set)
    fault: BaseException | None = None
    broken: set[int] | None = None

    def follow(self, family: Family, index: int, networks: Collection[NetworkName] | None = None) -> bool:
        """Note the follow. Return True for an index that is final."""
        del family
        self.followed += [(index, network) for network in networks or ()]
        if self.fault is not None and (self.broken is None or index in self.broken):
            raise self.fault
        return index in self.finals


def played(clock: ManualClock, *, scans_blocks: bool = False) -> PlayedChain:
    """Return a chain with a first block of now."""
    chain = PlayedChain(clock=clock, network="bitcoin" if scans_blocks else "base", scans_blocks=scans_blocks)
    chain.mine(number=10)
    return chain

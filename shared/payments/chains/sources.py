"""Several sources of one network as one `Chain`: they are compared, and no answer is given where they disagree.

Three views on the same sources:

- `Sources` itself: one answering source is enough, but sources that answer differently are apart, and then nobody is
  believed. A block is gone only if every source says so.
- `agreed(chain)`: at least two sources must answer alike, if there are two. For larger sums, and before anything is
  taken back.
- `glance(chain)`: heads are compared, other answers come from one source. Cheap, and only good for a nudge.

With a single source all views are alike.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast, get_args

from shared.kernel.clock import MINUTE, Millis
from shared.payments.chains.ports import (
    AssetName,
    Block,
    BlockGone,
    Chain,
    ChainRefused,
    ChainUnavailable,
    Contracts,
    FeedRound,
    Fees,
    Levels,
    NetworkName,
    Nonce,
    SeenTransaction,
    Tag,
    Tokens,
    Transfer,
    Wallets,
)

if TYPE_CHECKING:
    from shared.payments.chains.authorizations import TokenDomain
    from shared.payments.chains.transactions import SignedTransaction

ONE_SOURCE_USD_MAX = 100
"""Value up to which one source is believed alone."""
AGREEING = 2
BACK_BLOCKS_MAX = 5
"""Number of blocks by which a head may fall without notice: nodes behind one balancer differ by a few."""
FALLS_MAX = 3
LAG_MIN: Millis = MINUTE
LAG_BLOCKS = 3
APART = "the sources disagree"
TOO_FEW = "only one source answers"

T = TypeVar("T")


class Apart(Exception):
    """Sources answered differently."""


@dataclass(slots=True)
class SourceMemory:
    """Heads of the sources as this process saw them, by number of the source."""

    highest: dict[int, int] = field(default_factory=dict)
    falls: dict[int, int] = field(default_factory=dict)
    """Number of looks, one after the other, at which a source's head was far below its highest."""
    behind: frozenset[int] = frozenset()
    """Sources that are left out since the last look at the heads."""

    def steady(self, heads: Mapping[int, Block]) -> dict[int, Block]:
        """Return the heads of the sources that did not go back. Notes all heads.

        After FALLS_MAX looks the lower head is taken: the chain itself went back, or the highest head was a lie.
        """
        found = {}
        for source, head in heads.items():
            has_fallen = head.height < self.highest.get(source, 0) - BACK_BLOCKS_MAX
            self.falls[source] = self.falls.get(source, 0) + 1 if has_fallen else 0
            if has_fallen and self.falls[source] < FALLS_MAX:
                continue
            if has_fallen:
                self.falls[source] = 0
            self.highest[source] = head.height if has_fallen else max(head.height, self.highest.get(source, 0))
            found[source] = head
        return found


def lag_max(block_seconds: float) -> Millis:
    """Return the time by which a source's head may be older than the newest head, before the source is left out."""
    return max(LAG_MIN, round(LAG_BLOCKS * block_seconds * 1_000))


def agreed(chain: Chain) -> Chain:
    """Return the view in which at least two sources must answer alike; the chain itself if one source is all."""
    return chain.agreed() if isinstance(chain, Sources) else chain


def glance(chain: Chain) -> Chain:
    """Return the cheap view, in which only heads are compared."""
    return chain.glance() if isinstance(chain, Sources) else chain


# ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_reach(heads: Mapping[int, Block], lag: Millis) -> dict[int, Block]:
    """Return the heads of the sources that do not lag behind the newest head."""
    newest = max((head.time for head in heads.values()), default=0)
    return {source: head for source, head in heads.items() if newest - head.time <= lag}


def same(answers: Sequence[T]) -> T:
    """Return the answer that all gave. Raises Apart."""
    if any(answer != answers[0] for answer in answers):
        raise Apart
    return answers[0]


def same_levels(answers: Sequence[Levels], required: int) -> Levels:
    """Return the levels that at least `required` sources told. A pair that a source did not answer is no answer.

    Raises Apart if two sources tell different levels of a pair.
    """
    pairs = {pair for answer in answers for pair in answer}
    told = {pair: [answer[pair] for answer in answers if pair in answer] for pair in pairs}
    return {pair: same(levels) for pair, levels in told.items() if len(levels) >= min(required, len(answers))}


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Sources:
    """Chain through several sources; see `Chain`. Safe to share between threads."""

    def __init__(
        self,
        sources: Sequence[Chain],
        *,
        lag: Millis,
        required: int = 1,
        is_compared: bool = True,
        memory: SourceMemory | None = None,
    ) -> None:
        assert sources, "a network has a source"
        self._sources = sources
        self._lag = lag
        self._required = required
        self._is_compared = is_compared
        self._memory = memory or SourceMemory()

    def agreed(self) -> "Sources":
        """Return the view in which at least two sources must answer alike, if there are two."""
        required = min(AGREEING, len(self._sources))
        return Sources(self._sources, lag=self._lag, required=required, memory=self._memory)

    def glance(self) -> "Sources":
        """Return the view in which only heads are compared."""
        return Sources(self._sources, lag=self._lag, is_compared=False, memory=self._memory)

    @property
    def network(self) -> NetworkName:
        """Return the network's name; see `Chain.network`."""
        return self._sources[0].network

    @property
    def scans_blocks(self) -> bool:
        """Return how the sources find arrivals; see `Chain.scans_blocks`."""
        return self._sources[0].scans_blocks

    def block(self, at: int | str) -> Block:
        """Return a block that the sources tell alike; for a tag the lowest of theirs. See `Chain.block`."""
        if at in get_args(Tag):
            return self._tagged(str(at))
        return self._told(lambda source: source.block(at), same)

    def levels(self, block: str, addresses: Sequence[str], assets: Sequence[AssetName]) -> Levels:
        """Return the levels that the sources tell alike; see `Chain.levels`."""
        return self._told(
            lambda source: source.levels(block, addresses, assets),
            lambda answers: same_levels(answers, self._required),
        )

    def spent(self, block: str, addresses: Sequence[str]) -> Collection[str]:
        """Return the addresses that the sources tell alike; see `Chain.spent`."""
        return self._told(lambda source: frozenset(source.spent(block, addresses)), same)

    def received_in(self, block: str, addresses: Collection[str]) -> Mapping[str, int]:
        """Return the arrivals in a block, from one source: the block itself is checked. See `Chain.received_in`."""
        return self._first(lambda source: source.received_in(block, addresses))

    def pending(self, addresses: Sequence[str]) -> Sequence[tuple[str, Transfer]]:
        """Return the transfers in the pool of one source; see `Chain.pending`."""
        return self._first(lambda source: source.pending(addresses))

    def transfers(self, address: str, asset: AssetName, first: int, last: int) -> Sequence[Transfer]:
        """Return the evidence of one source; if two must agree, what they tell alike. See `Chain.transfers`."""
        if self._required >= AGREEING:
            return self._told(lambda source: source.transfers(address, asset, first, last), _same_transfers)
        return self._first(lambda source: source.transfers(address, asset, first, last))

    def transaction(self, transaction: str) -> SeenTransaction | None:
        """Return the state of a transaction that the sources tell alike; see `Chain.transaction`.

        While one source is enough, a source that does not know the transaction yet is no contradiction.
        """
        if self._required >= AGREEING:
            return self._told(lambda source: source.transaction(transaction), same)
        return self._told(lambda source: source.transaction(transaction), _known)

    def chain_id(self) -> int:
        """Return the chain id that the sources tell alike; see `Contracts.chain_id`."""
        return self._told(lambda source: _contracts(source).chain_id(), same)

    def decimals(self, contract: str) -> int:
        """Return the decimals that the sources tell alike; see `Contracts.decimals`."""
        return self._told(lambda source: _contracts(source).decimals(contract), same)

    def holdings(self, contract: str, addresses: Sequence[str]) -> Mapping[str, int]:
        """Return the holdings that one source tells: operators look, and nothing is credited. See `Contracts`."""
        return self._first(lambda source: _contracts(source).holdings(contract, addresses))

    def is_sanctioned(self, oracle: str, address: str) -> bool:
        """Return True if a source says that the oracle lists an address; see `Contracts.is_sanctioned`."""
        return self._told(lambda source: _contracts(source).is_sanctioned(oracle, address), any)

    def feed_round(self, contract: str) -> FeedRound:
        """Return the answer of a feed from one source: exchanges are compared with it. See `Contracts.feed_round`."""
        return self._first(lambda source: _contracts(source).feed_round(contract))

    def token_domain(self, contract: str) -> "TokenDomain | None":
        """Return the domain that the sources tell alike; see `Tokens.token_domain`."""
        return self._told(lambda source: _tokens(source).token_domain(contract), same)

    def used_nonces(self, block: str, contract: str, nonces: Collection[Nonce]) -> Collection[Nonce]:
        """Return the used nonces that the sources tell alike; see `Tokens.used_nonces`."""
        return self._told(lambda source: frozenset(_tokens(source).used_nonces(block, contract, nonces)), same)

    def nonce(self, address: str) -> int:
        """Return the nonce that one source tells; see `Wallets.nonce`."""
        return self._first(lambda source: _wallets(source).nonce(address))

    def gas(self, sender: str, call: Mapping[str, str]) -> int:
        """Return the gas that one source estimates; see `Wallets.gas`."""
        return self._first(lambda source: _wallets(source).gas(sender, call))

    def read_signed(self, raw: bytes) -> "SignedTransaction":
        """Return the content of a signed transaction; see `Wallets.read_signed`."""
        return _wallets(self._sources[0]).read_signed(raw)

    def fees(self) -> Fees:
        """Return the fees that one source tells; see `Chain.fees`."""
        return self._first(lambda source: source.fees())

    def broadcast(self, raw: bytes) -> str:
        """Send a transaction through the first source that takes it; see `Chain.broadcast`.

        A refusal is final only if no other source takes, or knows, the transaction.
        """
        refusal: ChainRefused | None = None
        failure: ChainUnavailable | None = None
        for source in self._sources:
            try:
                return source.broadcast(raw)
            except ChainRefused as error:
                refusal = error
            except ChainUnavailable as error:
                failure = error
        raise refusal if refusal is not None and failure is None else failure or self._unavailable(TOO_FEW)

    def _tagged(self, tag: str) -> Block:
        """Return the lowest of the sources' blocks with this tag. All others must have that block at its height.

        At `latest`, a source that went back or lags is left out, also of all questions until the next look.
        """
        heads, failure = self._heads(tag)
        if tag == "latest":
            heads = self._memory.steady(heads)
        if not heads:
            raise failure or self._unavailable("a source went back")
        lowest = min(heads.values(), key=lambda head: head.height)
        heads = {source: head for source, head in heads.items() if self._confirms(source, head, lowest)}
        if tag == "latest":
            heads = in_reach(heads, self._lag)
            self._memory.behind = frozenset(range(len(self._sources))) - heads.keys()
        if len(heads) < self._required:
            raise self._unavailable(TOO_FEW)
        return min(heads.values(), key=lambda head: head.height)

    def _heads(self, tag: str) -> tuple[dict[int, Block], ChainUnavailable | None]:
        heads: dict[int, Block] = {}
        failure: ChainUnavailable | None = None
        for number in self._in_use() if tag != "latest" else range(len(self._sources)):
            try:
                heads[number] = self._sources[number].block(tag)
            except ChainUnavailable as error:
                failure = error
            except BlockGone:
                failure = self._unavailable("a source has no such block")
        return heads, failure

    def _confirms(self, source: int, head: Block, lowest: Block) -> bool:
        """Return True if a source has the lowest head on its chain, False if it does not answer.

        Raises ChainUnavailable if the source has another block there.
        """
        try:
            there = head if head.height == lowest.height else self._sources[source].block(lowest.height)
        except ChainUnavailable:
            return False
        except BlockGone:
            raise self._unavailable(APART) from None
        if there.hash != lowest.hash:
            raise self._unavailable(APART)
        return True

    def _told(self, question: Callable[[Chain], T], agree: Callable[[Sequence[T]], T]) -> T:
        """Ask all sources, and return the answer on which those that answer agree.

        Raises BlockGone if every source says so. A single source that says so proves nothing while others are silent.
        """
        answers: list[T] = []
        gone = 0
        failure: ChainUnavailable | None = None
        for number in self._in_use():
            try:
                answers.append(question(self._sources[number]))
            except BlockGone:
                gone += 1
            except ChainUnavailable as error:
                failure = error
            if not self._is_compared and (answers or gone):
                break
        return self._judged(answers, gone, failure, agree)

    def _judged(
        self, answers: list[T], gone: int, failure: ChainUnavailable | None, agree: Callable[[Sequence[T]], T]
    ) -> T:
        """Return the agreed answer. Raises BlockGone or ChainUnavailable."""
        if gone and (answers or (self._is_compared and gone < len(self._sources))):
            raise self._unavailable(APART if answers else "only one source says that a block is gone")
        if gone:
            raise BlockGone(self.network)
        if not answers:
            raise failure or self._unavailable("all sources are behind")
        if len(answers) < self._required:
            raise self._unavailable(TOO_FEW)
        try:
            return agree(answers)
        except Apart:
            raise self._unavailable(APART) from None

    def _first(self, question: Callable[[Chain], T]) -> T:
        """Return the answer of the first source that gives one."""
        failure: ChainUnavailable | BlockGone | None = None
        for number in self._in_use():
            try:
                return question(self._sources[number])
            except (ChainUnavailable, BlockGone) as error:
                failure = error
        raise failure or self._unavailable("all sources are behind")

    def _in_use(self) -> Sequence[int]:
        return [number for number in range(len(self._sources)) if number not in self._memory.behind]

    def _unavailable(self, reason: str) -> ChainUnavailable:
        return ChainUnavailable(self.network, reason)


def _contracts(source: Chain) -> Contracts:
    """Return the same source as a reader of contracts. Only sources of EVM networks are asked for contracts."""
    return cast("Contracts", source)


def _tokens(source: Chain) -> Tokens:
    """Return the same source as a reader of tokens. Only sources of EVM networks are asked for tokens."""
    return cast("Tokens", source)


def _wallets(source: Chain) -> Wallets:
    """Return the same source as a reader of wallets. Only sources of EVM networks are asked for wallets."""
    return cast("Wallets", source)


def _same_transfers(answers: Sequence[Sequence[Transfer]]) -> Sequence[Transfer]:
    """Return the transfers that all sources tell, in any order. Raises Apart."""
    same([sorted((each.transaction.lower(), each.amount) for each in answer) for answer in answers])
    return answers[0]


def _known(answers: Sequence[SeenTransaction | None]) -> SeenTransaction | None:
    """Return the state of a transaction as the sources that know it tell it alike. Raises Apart."""
    known = [answer for answer in answers if answer is not None]
    mined = [answer for answer in known if answer.block is not None]
    return same(mined or known) if known else None

"""Port to a chain: blocks by height, tag or hash, levels of addresses at a block hash, evidence, fees, broadcast."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from shared.kernel.clock import Millis
from shared.kernel.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from shared.payments.chains.authorizations import TokenDomain
    from shared.payments.chains.transactions import SignedTransaction

NetworkName = str
"""Name of a network in settings and on the wire: `base`, `polygon`, `ethereum`, `bitcoin`."""
AssetName = str
"""Symbol of an asset on a network: `ETH`, `USDC`, `BTC`. The network's own coin and listed tokens alike."""
OTHER_NETWORK = "a source belongs to another network"
"""Reason of ChainUnavailable if the address of another network's node is set: an operator must act."""
Tag = Literal["latest", "safe", "finalized"]
Levels = Mapping[tuple[str, AssetName], int]
"""Atomic units by address and asset. A pair that the source did not answer is missing: no answer is never zero."""
Nonce = tuple[str, str]
"""Payer and nonce of an authorization, both lower-case hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Block of a chain. `time` is the block's own time, in ms."""

    height: int
    hash: str
    parent: str
    time: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Transaction that moved an asset to an address.

    `sender` is "" if the chain does not tell. `block` is None while the transaction is in the pool.
    """

    transaction: str
    sender: str
    amount: int
    block: Block | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTransaction:
    """State of a transaction. `block` is None while it waits in the pool. `succeeded` is False after a revert."""

    transaction: str
    block: Block | None
    succeeded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """Present fees, in atomic units of the network's own coin per unit of gas or virtual byte."""

    base: int
    tip: int


class Chain(Protocol):
    """One chain, through one source or several. Calls have timeouts, and may be repeated.

    Every method raises ChainUnavailable if no answer came. An answer that cannot be right is no answer.
    """

    @property
    def network(self) -> NetworkName:
        """Return the network's name."""
        ...

    @property
    def scans_blocks(self) -> bool:
        """Return True if arrivals are found by `received_in`, block by block, and not by `levels` of many addresses."""
        ...

    def block(self, at: int | str) -> Block:
        """Return the block at a height (int), with a hash, or with a tag (`latest`, `safe`, `finalized`).

        Raises BlockGone if this chain has no such block (any more).
        """
        ...

    def levels(self, block: str, addresses: Sequence[str], assets: Sequence[AssetName]) -> Levels:
        """Return the balances of these addresses in these assets, in the state after the block with this hash.

        On Bitcoin: the sum that ever came to each address up to that block. Raises BlockGone.
        """
        ...

    def spent(self, block: str, addresses: Sequence[str]) -> Collection[str]:
        """Return the addresses that sent something, or have code, in the state after this block. Raises BlockGone."""
        ...

    def received_in(self, block: str, addresses: Collection[str]) -> Mapping[str, int]:
        """Return the atomic units of the own coin that came to these addresses in this block. Raises BlockGone.

        Only of a chain that `scans_blocks`. The block is checked: work, Merkle root, parent.
        """
        ...

    def pending(self, addresses: Sequence[str]) -> Sequence[tuple[str, Transfer]]:
        """Return transfers to these addresses that wait in the pool. Empty for a chain that does not look there."""
        ...

    def transfers(self, address: str, asset: AssetName, first: int, last: int) -> Sequence[Transfer]:
        """Return the transfers to an address in the blocks from height `first` to `last`, as far as the chain tells.

        Evidence for people, never the truth: logs may be missing or lie.
        """
        ...

    def transaction(self, transaction: str) -> SeenTransaction | None:
        """Return the state of a transaction; None if the chain knows no such transaction."""
        ...

    def fees(self) -> Fees:
        """Return the present fees."""
        ...

    def broadcast(self, raw: bytes) -> str:
        """Send a signed transaction to the network, and return the hash, also if the network knows the hash.

        Raises ChainRefused.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRound:
    """Last answer of a Chainlink feed: `answer` is a whole number of 10^-`decimals`. Times are in ms.

    The answer of a sequencer's feed is 0 while the sequencer is up, since `started_at`.
    """

    answer: int
    decimals: int
    started_at: Millis
    updated_at: Millis


class Contracts(Protocol):
    """Contracts of an EVM chain. The adapter of an EVM chain is a `Chain` and `Contracts`.

    Every method raises ChainUnavailable if no answer came.
    """

    def chain_id(self) -> int:
        """Return the chain id that the node states."""
        ...

    def decimals(self, contract: str) -> int:
        """Return the number of decimals that a token's contract states."""
        ...

    def holdings(self, contract: str, addresses: Sequence[str]) -> Mapping[str, int]:
        """Return the units of any token's contract at these addresses now, without those that hold none."""
        ...

    def is_sanctioned(self, oracle: str, address: str) -> bool:
        """Return True if a sanctions oracle lists an address (`isSanctioned`)."""
        ...

    def feed_round(self, contract: str) -> FeedRound:
        """Return the last answer of a Chainlink feed (`latestRoundData` and `decimals`)."""
        ...


class Tokens(Protocol):
    """Tokens whose coins move by signed authorizations (EIP-3009). The adapter of an EVM chain is also `Tokens`.

    Every method raises ChainUnavailable if no answer came.
    """

    def token_domain(self, contract: str) -> "TokenDomain | None":
        """Return the EIP-712 domain that a token states; None if the token takes no authorizations."""
        ...

    def used_nonces(self, block: str, contract: str, nonces: Collection[Nonce]) -> Collection[Nonce]:
        """Return the nonces that were used or cancelled, in the state after this block. Raises BlockGone."""
        ...


class Wallets(Protocol):
    """Accounts of users' wallets on an EVM chain. The adapter of an EVM chain is also `Wallets`.

    Every method but `read_signed` raises ChainUnavailable if no answer came.
    """

    def nonce(self, address: str) -> int:
        """Return the nonce of the address's next transaction, behind those in the pool."""
        ...

    def gas(self, sender: str, call: Mapping[str, str]) -> int:
        """Return the gas of a transaction with this receiver (`to`), `value` and `data`.

        Raises ChainRefused if the transaction would fail.
        """
        ...

    def read_signed(self, raw: bytes) -> "SignedTransaction":
        """Return the content of a signed transaction, without asking the chain.

        Raises TransactionRefused if the bytes are not the one form of a transaction with a valid signature.
        """
        ...


class BlockGone(Rejected):
    """Error for a block that is not, or no longer, on this chain."""

    code = "block_gone"

    def __init__(self, network: NetworkName) -> None:
        super().__init__("This block is not on the chain any more.", network=network)


class ChainRefused(Rejected):
    """Final refusal of a transaction by the network."""

    code = "chain_refused"

    def __init__(self, network: NetworkName, reason: str) -> None:
        super().__init__(f"The network refused the transaction: {reason}.", network=network, reason=reason)


class ChainUnavailable(Unavailable):
    """Failure to learn something of a chain: the sources are out of reach, behind, or disagree."""

    code = "chain_unavailable"

    def __init__(self, network: NetworkName, reason: str) -> None:
        super().__init__("This network cannot be asked right now. Nothing is lost.", network=network, reason=reason)

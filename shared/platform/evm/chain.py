"""EVM network through one node, as a `Chain`: levels, evidence, fees and broadcast."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from web3 import Web3

from shared.payments.chains.authorizations import TokenDomain
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import (
    OTHER_NETWORK,
    AssetName,
    Block,
    BlockGone,
    ChainRefused,
    ChainUnavailable,
    FeedRound,
    Fees,
    Levels,
    NetworkName,
    Nonce,
    SeenTransaction,
    Transfer,
)
from shared.payments.chains.transactions import SignedTransaction
from shared.platform.evm.blocks import BlockReader
from shared.platform.evm.contracts import ContractReader
from shared.platform.evm.evidence import EvidenceReader
from shared.platform.evm.levels import LevelReader
from shared.platform.evm.node import ANSWER_SECONDS_MAX, Call, Node, NodeRefused
from shared.platform.evm.reading import data, hash_of, mapping, quantity
from shared.platform.evm.tokens import TokenReader
from shared.platform.evm.wallets import WalletReader, read_signed

REFUSALS = frozenset({3, -32000, -32003, -32010, -32602})
"""Codes with which nodes refuse a transaction for good. -32000 is also the code of passing troubles, see TROUBLES."""
TROUBLES = ("txpool is full", "limit", "too many", "timeout", "unavailable", "busy", "overload")
REVERTED, SUCCEEDED = 0, 1


class EvmChain:
    """EVM network through one node; see `Chain`. Safe to share between threads.

    Before the first answer, genesis and chain id are compared with the network's: the address of another network's node
    never counts. Ethereum and its forks share a genesis, so both are compared.
    """

    def __init__(self, network: Network, url: str, *, answer_seconds_max: float = ANSWER_SECONDS_MAX) -> None:
        self._network = network
        self._node = Node(network.name, url, answer_seconds_max=answer_seconds_max)
        self._blocks = BlockReader(self._node, network.name)
        self._levels = LevelReader(self._node, self._blocks.canonical)
        self._evidence = EvidenceReader(self._node, self._blocks)
        self._contracts = ContractReader(self._node)
        self._tokens = TokenReader(self._node, self._blocks.canonical)
        self._wallets = WalletReader(self._node, network.name)
        self._is_checked = False

    @property
    def network(self) -> NetworkName:
        """Return the network's name; see `Chain.network`."""
        return self._network.name

    @property
    def scans_blocks(self) -> bool:
        """Return False: levels of many addresses are read in one call; see `Chain.scans_blocks`."""
        return False

    def block(self, at: int | str) -> Block:
        """Return the block at a height, with a hash or with a tag; see `Chain.block`."""
        self._require_network()
        return self._blocks.block(at)

    def levels(self, block: str, addresses: Sequence[str], assets: Sequence[AssetName]) -> Levels:
        """Return the balances in the state after this block; see `Chain.levels`."""
        self._require_network()
        listed = {name: self._network.assets[name] for name in assets}
        tokens = {name: asset.contract for name, asset in listed.items() if asset.contract}
        found = self._levels.read(block, addresses, self._network.coin.name, tokens) if addresses else {}
        return {pair: level for pair, level in found.items() if pair[1] in listed}

    def spent(self, block: str, addresses: Sequence[str]) -> Collection[str]:
        """Return the addresses that sent something, or have code; see `Chain.spent`."""
        self._require_network()
        at = {"blockHash": block}
        methods = ("eth_getTransactionCount", "eth_getCode")
        calls: list[Call] = [(method, (address, at)) for address in addresses for method in methods]
        try:
            answers = self._node.ask_all(calls) if calls else []
        except NodeRefused as refusal:
            raise self._node.unavailable(f"a source refuses to tell what was spent: {refusal}") from None
        self._blocks.canonical(block)
        try:
            pairs = zip(addresses, answers[::2], answers[1::2], strict=True)
            return frozenset(address for address, count, code in pairs if quantity(count) or data(code) != "0x")
        except ValueError:
            raise self._node.nonsense() from None

    def received_in(self, block: str, addresses: Collection[str]) -> Mapping[str, int]:
        """Refuse: this chain does not scan blocks; see `Chain.received_in`."""
        raise NotImplementedError("an EVM network is read by levels")

    def pending(self, addresses: Sequence[str]) -> Sequence[tuple[str, Transfer]]:
        """Return nothing: the pool of an EVM network is not looked at; see `Chain.pending`."""
        return ()

    def transfers(self, address: str, asset: AssetName, first: int, last: int) -> Sequence[Transfer]:
        """Return the newest transfers to an address in these blocks, as evidence; see `Chain.transfers`."""
        self._require_network()
        contract = self._network.assets[asset].contract
        if contract:
            return self._evidence.of_token(address, contract, first, last)
        return self._evidence.of_coin(address, first, last)

    def transaction(self, transaction: str) -> SeenTransaction | None:
        """Return the state of a transaction; see `Chain.transaction`."""
        self._require_network()
        receipt = self._asked("eth_getTransactionReceipt", transaction)
        if receipt is not None:
            with contextlib.suppress(BlockGone):
                return self._mined(transaction, receipt)
        if self._asked("eth_getTransactionByHash", transaction) is None:
            return None
        return SeenTransaction(transaction=transaction, block=None, succeeded=True)

    def chain_id(self) -> int:
        """Return the chain id that the node states; see `Contracts.chain_id`."""
        try:
            return quantity(self._asked("eth_chainId"))
        except ValueError:
            raise self._node.nonsense() from None

    def decimals(self, contract: str) -> int:
        """Return the decimals that a token's contract states; see `Contracts.decimals`."""
        self._require_network()
        return self._contracts.decimals(contract)

    def holdings(self, contract: str, addresses: Sequence[str]) -> Mapping[str, int]:
        """Return the units of a contract at these addresses in the newest block; see `Contracts.holdings`."""
        head = self.block("latest").hash
        found = self._levels.read(head, addresses, self._network.coin.name, {contract: contract}) if addresses else {}
        return {address: amount for (address, name), amount in found.items() if name == contract and amount}

    def is_sanctioned(self, oracle: str, address: str) -> bool:
        """Return True if a sanctions oracle lists an address; see `Contracts.is_sanctioned`."""
        self._require_network()
        return self._contracts.is_sanctioned(oracle, address)

    def feed_round(self, contract: str) -> FeedRound:
        """Return the last answer of a Chainlink feed; see `Contracts.feed_round`."""
        self._require_network()
        return self._contracts.feed_round(contract)

    def token_domain(self, contract: str) -> TokenDomain | None:
        """Return the EIP-712 domain that a token states; see `Tokens.token_domain`."""
        self._require_network()
        return self._tokens.domain(contract)

    def used_nonces(self, block: str, contract: str, nonces: Collection[Nonce]) -> Collection[Nonce]:
        """Return the used nonces in the state after a block; see `Tokens.used_nonces`."""
        self._require_network()
        return self._tokens.used(block, contract, nonces)

    def nonce(self, address: str) -> int:
        """Return the nonce of an address's next transaction; see `Wallets.nonce`."""
        self._require_network()
        return self._wallets.nonce(address)

    def gas(self, sender: str, call: Mapping[str, str]) -> int:
        """Return the gas of a transaction; see `Wallets.gas`."""
        self._require_network()
        return self._wallets.gas(sender, call)

    def read_signed(self, raw: bytes) -> SignedTransaction:
        """Return the content of a signed transaction; see `Wallets.read_signed`."""
        return read_signed(raw)

    def fees(self) -> Fees:
        """Return the base fee of the newest block and the usual tip, per gas; see `Chain.fees`."""
        self._require_network()
        try:
            newest = mapping(self._asked("eth_getBlockByNumber", "latest", False))
            if newest.get("baseFeePerGas") is None:
                return Fees(base=quantity(self._asked("eth_gasPrice")), tip=0)
            tip = quantity(self._asked("eth_maxPriorityFeePerGas"))
            return Fees(base=quantity(newest["baseFeePerGas"]), tip=tip)
        except ValueError:
            raise self._node.nonsense() from None

    def broadcast(self, raw: bytes) -> str:
        """Send a signed transaction; see `Chain.broadcast`.

        After any other answer than the hash, the transaction is looked up, and not sent again: the first call may have
        reached the network, or somebody else's.
        """
        self._require_network()
        own = Web3.keccak(raw).to_0x_hex()
        try:
            if hash_of(self._node.ask("eth_sendRawTransaction", f"0x{raw.hex()}")) == own:
                return own
            failure: Exception = self._node.nonsense()
        except (NodeRefused, ChainUnavailable) as error:
            failure = error
        except ValueError:
            failure = self._node.nonsense()
        if self.transaction(own) is not None:
            return own
        raise self._refusal_of(failure)

    def _refusal_of(self, failure: Exception) -> Exception:
        """Return the error of a broadcast whose transaction is nowhere."""
        if not isinstance(failure, NodeRefused):
            return failure
        is_passing = any(word in failure.message.lower() for word in TROUBLES)
        if failure.code in REFUSALS and not is_passing:
            return ChainRefused(self.network, failure.message)
        return self._node.unavailable(f"a source did not take the transaction: {failure}")

    def _mined(self, transaction: str, receipt: Any) -> SeenTransaction:
        """Return the state of a transaction with this receipt. Raises BlockGone if the receipt's block is left."""
        try:
            found = mapping(receipt)
            status, home = quantity(found.get("status")), hash_of(found.get("blockHash"))
            if hash_of(found.get("transactionHash")) != transaction.lower() or status not in {REVERTED, SUCCEEDED}:
                raise ValueError("a receipt of something else")
        except ValueError:
            raise self._node.nonsense() from None
        return SeenTransaction(
            transaction=transaction, block=self._blocks.canonical(home), succeeded=status == SUCCEEDED
        )

    def _asked(self, method: str, *params: Any) -> Any:
        try:
            return self._node.ask(method, *params)
        except NodeRefused as refusal:
            raise self._node.unavailable(f"a source refuses {method}: {refusal}") from None

    def _require_network(self) -> None:
        if self._is_checked:
            return
        if self.chain_id() != self._network.chain_id or self._blocks.block(0).hash != self._network.genesis.lower():
            raise self._node.unavailable(OTHER_NETWORK)
        self._is_checked = True

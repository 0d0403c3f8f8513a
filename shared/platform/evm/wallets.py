"""Transactions of users' wallets: nonce and gas from a node, and the content of signed bytes."""

from collections.abc import Mapping

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from rlp.exceptions import RLPException
from web3 import Web3

from shared.payments.chains.ports import ChainRefused, NetworkName
from shared.payments.chains.transactions import FEE_MARKET_TYPE, SignedTransaction, TransactionRefused
from shared.platform.evm.node import Node, NodeRefused
from shared.platform.evm.reading import quantity

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Largest `s` of a signature: half the order of secp256k1 (EIP-2). Each signature has a second form above this half."""
EXECUTION_REVERTED, SERVER_ERROR = 3, -32000
NO_TRANSACTION = "these bytes are no signed EIP-1559 transaction (type 2)"
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors by which the libraries answer to bytes of another form."""


class WalletReader:
    """Reader of the nonce and the gas that a wallet needs for a transaction."""

    def __init__(self, node: Node, network: NetworkName) -> None:
        self._node = node
        self._network = network

    def nonce(self, address: str) -> int:
        """Return the next nonce; see `Wallets.nonce`."""
        return self._number("eth_getTransactionCount", address, "pending")

    def gas(self, sender: str, call: Mapping[str, str]) -> int:
        """Return the node's estimate; see `Wallets.gas`."""
        return self._number("eth_estimateGas", {"from": sender, **call})

    def _number(self, method: str, *params: object) -> int:
        try:
            return quantity(self._node.ask(method, *params))
        except NodeRefused as refusal:
            if refusal.code in {EXECUTION_REVERTED, SERVER_ERROR}:
                raise ChainRefused(self._network, refusal.message) from None
            raise self._node.unavailable(f"a source refuses {method}: {refusal}") from None
        except ValueError:
            raise self._node.nonsense() from None


def read_signed(raw: bytes) -> SignedTransaction:
    """Return the content of a signed transaction with a type; see `Wallets.read_signed`.

    The bytes must be those that the content encodes to: other bytes of the same content would have another hash.
    """
    if raw[:1] != bytes([FEE_MARKET_TYPE]):
        raise TransactionRefused(NO_TRANSACTION)
    try:
        typed = TypedTransaction.from_bytes(HexBytes(raw))
        told = typed.as_dict()
        sender = Account.recover_transaction(raw)
        is_canonical = bytes(typed.encode()) == raw
    except (RLPException, BadSignature, ValidationError, *MALFORMED):
        raise TransactionRefused(NO_TRANSACTION) from None
    receiver = HexBytes(told.get("to") or b"")
    if not is_canonical or told["s"] > HALF_ORDER:
        raise TransactionRefused("its bytes or its signature have a second form")
    return SignedTransaction(
        hash=Web3.keccak(raw).to_0x_hex(),
        sender=str(sender),
        kind=told["type"],
        chain_id=told["chainId"],
        nonce=told["nonce"],
        to=receiver.to_0x_hex() if receiver else "",
        value=told["value"],
        data=HexBytes(told["data"]).to_0x_hex(),
        has_access_list=bool(told["accessList"]),
    )

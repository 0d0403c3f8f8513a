"""Transactions by which a wallet pays a payment: unsigned for the wallet, and signed ones that we pass on. Pure.

A signed transaction is passed on only if it is the transaction that we would have made: one EIP-1559 transfer of the
missing amount to the payment's address on the payment's chain. So this API relays nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.kernel.clock import MINUTE, Millis
from shared.kernel.errors import Conflict, InvalidValue, Rejected
from shared.payments.chains.networks import Network
from shared.payments.chains.payer import wallet_transaction
from shared.payments.chains.ports import AssetName, Fees, SeenTransaction

RAW_BYTES_MAX = 1_024
"""Most bytes of a signed transaction: a transfer of a token has some 180."""
FEE_MARKET_TYPE = 2
"""Type of EIP-1559 transactions, the only type that is passed on: others lack a chain id, or can do more."""
GAS_MARGIN_PERCENT = 20
COIN_GAS = 21_000
"""Gas of a transfer of the network's own coin."""
TOKEN_GAS = 100_000
"""Gas that a transfer of a token takes at most, as far as is known before it could run."""
BASE_FEE_ROOM = 2
"""Factor between the present base fee and the most that a transaction offers, so that it lives for some blocks."""
FORGOTTEN_AFTER: Millis = 10 * MINUTE
"""Time after which a transaction that no node knows does not hold up another."""
NOTHING = "0x"


class TransactionRefused(Rejected):
    """Refusal of a signed transaction that is not exactly the payment. Nothing was sent."""

    code = "transaction_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(f"This transaction was not sent: {reason}.", reason=reason)


class TransactionUnderWay(Conflict):
    """Refusal of a second transaction while another one may still pay."""

    code = "transaction_under_way"

    def __init__(self, transaction: str) -> None:
        super().__init__(
            "Another transaction for this payment is under way. Wait for it, or replace it with the same nonce.",
            transaction=transaction,
        )


class NothingToPay(Conflict):
    """Refusal of a transaction for a payment that waits for no coins, or not for coins from such a wallet."""

    code = "nothing_to_pay"

    def __init__(self) -> None:
        super().__init__("This payment waits for no transaction from a wallet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransaction:
    """Signed transaction as its bytes tell. `to` is "" if it creates a contract. `data` is hexadecimal."""

    hash: str
    sender: str
    kind: int
    chain_id: int
    nonce: int
    to: str
    value: int
    data: str
    has_access_list: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTransfer:
    """Transfer that pays the missing amount of a payment, on an EVM network."""

    network: Network
    asset: AssetName
    address: str
    amount: int

    @property
    def call(self) -> Mapping[str, str]:
        """Return receiver, value and data of the transaction, as wallets have them."""
        return wallet_transaction(self.network, self.asset, self.address, self.amount)

    @property
    def is_token(self) -> bool:
        """Return True if a token is transferred, False for the network's own coin."""
        return bool(self.network.assets[self.asset].contract)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTransaction:
    """Transaction that was passed on for a payment."""

    hash: str
    sender: str
    nonce: int
    amount: int
    at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Most that a transaction can cost: `gas` units at `price` each, in atomic units of the network's own coin."""

    gas: int
    price: int
    tip: int

    @property
    def fee(self) -> int:
        """Return the most that the fee can be."""
        return self.gas * self.price


def raw_bytes(text: str) -> bytes:
    """Return the bytes of a signed transaction in hexadecimal. Raises InvalidValue."""
    digits = text.removeprefix(NOTHING)
    is_hexadecimal = bool(digits) and len(digits) % 2 == 0 and all(each in "0123456789abcdefABCDEF" for each in digits)
    if not is_hexadecimal or len(digits) > 2 * RAW_BYTES_MAX:
        raise InvalidValue("raw", f"must be a signed transaction in hexadecimal, of at most {RAW_BYTES_MAX} bytes")
    return bytes.fromhex(digits)


def require_transfer(signed: SignedTransaction, wanted: WantedTransfer) -> None:
    """Raise TransactionRefused if a signed transaction is anything but this transfer."""
    if signed.kind != FEE_MARKET_TYPE:
        raise TransactionRefused("it must be an EIP-1559 transaction (type 2)")
    if signed.chain_id != wanted.network.chain_id:
        raise TransactionRefused(f"it is for another network than {wanted.network.title}")
    if signed.has_access_list:
        raise TransactionRefused("it must have no access list")
    if not signed.to:
        raise TransactionRefused("it creates a contract")
    call = wanted.call
    if signed.to.lower() != call["to"].lower():
        raise TransactionRefused("it goes to another address than this payment's")
    if signed.value != int(call["value"], 16):
        raise TransactionRefused("it sends another amount than the one that is missing")
    if signed.data.lower() != call["data"].lower():
        raise TransactionRefused("its data is not the transfer of the missing amount to this payment's address")


def holding_up(
    sent: Sequence[SentTransaction],
    states: Mapping[str, SeenTransaction | None],
    signed: SignedTransaction,
    now: Millis,
) -> SentTransaction | None:
    """Return an earlier transaction beside which another one could pay twice; None if there is none.

    `states` are the states of the earlier transactions. A transaction with the same sender and nonce replaces an
    earlier one, so only one of the two can ever pay.
    """
    for earlier in sent:
        state = states.get(earlier.hash)
        is_replaced = (earlier.sender, earlier.nonce) == (signed.sender, signed.nonce)
        is_forgotten = state is None and now - earlier.at > FORGOTTEN_AFTER
        is_over = state is not None and state.block is not None
        if not (is_replaced or is_forgotten or is_over):
            return earlier
    return None


def cost_of(wanted: WantedTransfer, gas: int | None, fees: Fees) -> Cost:
    """Return the most that the transfer costs. `gas` is the node's estimate, None if the transfer could not run yet."""
    estimate = gas if gas is not None else TOKEN_GAS if wanted.is_token else COIN_GAS
    is_exact = not wanted.is_token and estimate == COIN_GAS
    units = estimate if is_exact else -(-estimate * (100 + GAS_MARGIN_PERCENT) // 100)
    return Cost(gas=units, price=BASE_FEE_ROOM * fees.base + fees.tip, tip=fees.tip)


def unsigned(wanted: WantedTransfer, sender: str, nonce: int, cost: Cost) -> Mapping[str, str]:
    """Return the transaction for a wallet to sign (EIP-1193): all numbers are hexadecimal."""
    assert wanted.network.chain_id is not None, "an EVM network has a chain id"
    return {
        "type": hex(FEE_MARKET_TYPE),
        "chainId": hex(wanted.network.chain_id),
        "from": sender,
        "nonce": hex(nonce),
        "gas": hex(cost.gas),
        "maxFeePerGas": hex(cost.price),
        "maxPriorityFeePerGas": hex(cost.tip),
        **wanted.call,
    }


def lacking(wanted: WantedTransfer, cost: Cost, balances: Mapping[AssetName, int]) -> AssetName | None:
    """Return the asset of which the payer has too little for the transfer and the fee; None if there is enough."""
    coin = wanted.network.coin.name
    needed = {coin: cost.fee}
    needed[wanted.asset] = needed.get(wanted.asset, 0) + wanted.amount
    return next((name for name in (wanted.asset, coin) if balances.get(name, 0) < needed[name]), None)

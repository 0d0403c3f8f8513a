"""Answers about payments with coins."""

from marshmallow import fields

from functions.http.fields import Answer, Choice, Time
from functions.http.money import Money
from shared.payments.chains.payouts import PAYOUT_STATES


class CryptoAssetOut(Answer):
    """Asset of a network, and whether a user can pay with the asset now."""

    asset = fields.String(required=True, metadata={"description": "The symbol of the coins."})
    decimals = fields.Integer(required=True, metadata={"description": "Digits after the point of one whole coin."})
    contract = fields.String(
        required=True, allow_none=True, metadata={"description": "The token's contract; null for the network's coin."}
    )
    is_available = fields.Boolean(required=True, metadata={"description": "True if the asset can be used now."})
    reason = fields.String(
        required=True, allow_none=True, metadata={"description": "Why the asset cannot be used now; null if it can."}
    )


class CryptoNetworkOut(Answer):
    """Network on which coins are taken."""

    network = fields.String(required=True, metadata={"description": "The name of the network."})
    title = fields.String(required=True, metadata={"description": "The network's name as people write the name."})
    is_test = fields.Boolean(required=True)
    chain_id = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The EVM chain id; null for Bitcoin."}
    )
    minimum = Money(required=True)
    confirmations = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Blocks after which a small amount counts; null if the network itself tells."},
    )
    wait_seconds = fields.Integer(
        required=True, metadata={"description": "Usual time until a small amount counts, from its first block."}
    )
    assets = fields.List(fields.Nested(CryptoAssetOut), required=True)


class RefundAddressOut(Answer):
    """Address to which the coins of a payment go if the payment is refunded."""

    payment_id = fields.String(required=True)
    network = fields.String(required=True, metadata={"description": "The network of the payment."})
    asset = fields.String(required=True, metadata={"description": "The symbol of the coins that would go back."})
    address = fields.String(required=True, metadata={"description": "The address, in the form of its network."})
    named_at = Time(required=True)
    counts_at = Time(required=True)
    counts = fields.Boolean(required=True, metadata={"description": "True if a refund can go to the address now."})


class UnsignedPayoutOut(Answer):
    """Transaction of an EVM network for a wallet to complete, sign and send. All numbers are hexadecimal."""

    type = fields.String(required=True, metadata={"description": "The type of the transaction: EIP-1559."})
    chainId = fields.String(required=True, metadata={"description": "The chain on which alone it is valid."})  # noqa: N815  # EIP-1193's name
    to = fields.String(required=True, metadata={"description": "The receiver, or the token's contract."})
    value = fields.String(required=True, metadata={"description": "The network's own coins to send, in wei."})
    data = fields.String(required=True, metadata={"description": "The call of the token's contract; `0x` for none."})


class PayoutOut(Answer):
    """Refund in coins that an operator sends from a wallet.

    `waiting`: nothing is on the chain. `seen`: in a block that is not deep enough. `sent`: deep enough. `cancelled`:
    called off, and the credits are back. `uri` and `unsigned` are null once there is nothing to send.
    """

    id = fields.String(required=True)
    state = Choice(*PAYOUT_STATES, required=True, metadata={"description": "How far the refund is."})
    network = fields.String(required=True, metadata={"description": "The network to send on."})
    network_title = fields.String(required=True, metadata={"description": "The network's name for people."})
    asset = fields.String(required=True, metadata={"description": "The symbol of the coins to send."})
    address = fields.String(required=True, metadata={"description": "The address to send the coins to."})
    amount = fields.String(required=True, metadata={"description": "The coins to send, as a decimal: exactly these."})
    amount_atomic = fields.String(required=True, metadata={"description": "The coins to send, in the least units."})
    price = Money(required=True)
    rate = fields.String(required=True, metadata={"description": "USD that one whole coin is worth in this refund."})
    sources = fields.List(
        fields.String(), required=True, metadata={"description": "Where the rate came from; none for the same coins."}
    )
    uri = fields.String(
        required=True, allow_none=True, metadata={"description": "A link that opens a wallet with all of this."}
    )
    unsigned = fields.Nested(
        UnsignedPayoutOut,
        required=True,
        allow_none=True,
        metadata={"description": "The transaction to sign on an EVM network; null on Bitcoin."},
    )
    transaction = fields.String(
        required=True, allow_none=True, metadata={"description": "The hash of the transaction that sends the coins."}
    )
    transaction_url = fields.String(
        required=True, allow_none=True, metadata={"description": "The transaction at an explorer; null if unknown."}
    )
    fault = fields.String(
        required=True, allow_none=True, metadata={"description": "Why the transaction named before does not pay this."}
    )
    asked_at = Time(required=True)

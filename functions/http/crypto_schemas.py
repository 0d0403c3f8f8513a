"""Answers about payments with coins."""

from marshmallow import fields

from functions.http.fields import Answer
from functions.http.money import Money


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

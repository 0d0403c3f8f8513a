"""`/v1/payments/crypto/{id}/transaction` and `…/broadcast`: pay with coins from a wallet of the user's own."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Request, Text
from functions.http.money import Money
from functions.http.routes import MEMBER, Call, Routes
from shared.kernel.errors import InvalidValue
from shared.payments.chains.amounts import decimal_text
from shared.payments.chains.ports import ChainRefused, ChainUnavailable
from shared.payments.chains.transactions import (
    RAW_BYTES_MAX,
    NothingToPay,
    TransactionRefused,
    TransactionUnderWay,
)
from shared.payments.store import PaymentNotFound
from shared.sagas.payments.crypto_broadcasts import TooManyTransactions

ADDRESS_CHARACTERS = 42
RAW_CHARACTERS_MAX = 2 * RAW_BYTES_MAX + 2
CALLS_PER_MINUTE = 20

routes = Routes("payments")


class TransactionIn(Request):
    """Wallet from which the user pays."""

    sender = Text(
        data_key="from",
        length_min=ADDRESS_CHARACTERS,
        length_max=ADDRESS_CHARACTERS,
        required=True,
        metadata={"description": "The address of the wallet: 0x and 40 hexadecimal digits."},
    )


class UnsignedOut(Answer):
    """EIP-1559 transaction for a wallet to sign. All numbers are hexadecimal, as EIP-1193 has them."""

    type = fields.String(required=True, metadata={"description": "The type of the transaction: `0x2`."})
    chainId = fields.String(required=True, metadata={"description": "The chain's id."})  # noqa: N815  # EIP-1193
    sender = fields.String(
        required=True, data_key="from", metadata={"description": "The address of the user's wallet."}
    )
    to = fields.String(required=True, metadata={"description": "The payment's address, or the token's contract."})
    value = fields.String(required=True, metadata={"description": "The least units of the network's own coin."})
    data = fields.String(required=True, metadata={"description": "The transfer of a token; `0x` if there is none."})
    nonce = fields.String(required=True, metadata={"description": "The number of the wallet's next transaction."})
    gas = fields.String(
        required=True, metadata={"description": "The most gas that the transaction uses, with a margin."}
    )
    maxFeePerGas = fields.String(required=True, metadata={"description": "The most that a unit of gas costs."})  # noqa: N815  # EIP-1193
    maxPriorityFeePerGas = fields.String(required=True, metadata={"description": "The tip for a unit of gas."})  # noqa: N815  # EIP-1193


class TransactionFeeOut(Answer):
    """Most that the network takes for the transaction, in the network's own coin."""

    asset = fields.String(required=True, metadata={"description": "The symbol of the coins."})
    amount = fields.String(required=True, metadata={"description": "Whole coins, as a decimal string."})
    amount_atomic = fields.String(
        required=True, metadata={"description": "The least units of the coins, as a decimal string."}
    )
    value = Money(required=True, allow_none=True)


class TransactionOut(Answer):
    """Transaction that pays the missing amount, and the fee.

    `lacks` is the asset of which the wallet has too little for amount and fee; null if the wallet can afford both.
    """

    payment_id = fields.String(required=True)
    network = fields.String(required=True, metadata={"description": "The name of the network."})
    asset = fields.String(required=True, metadata={"description": "The symbol of the coins."})
    amount = fields.String(required=True, metadata={"description": "Whole coins, as a decimal string."})
    amount_atomic = fields.String(
        required=True, metadata={"description": "The least units of the coins, as a decimal string."}
    )
    transaction = fields.Nested(UnsignedOut, required=True, metadata={"description": "The transaction to sign."})
    fee = fields.Nested(TransactionFeeOut, required=True, metadata={"description": "The most that the network takes."})
    can_afford = fields.Boolean(
        required=True, metadata={"description": "True if the wallet has the amount and the fee."}
    )
    lacks = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The asset of which the wallet has too little; null if none."},
    )


class BroadcastIn(Request):
    """Signed transaction."""

    raw = Text(
        length_min=1,
        length_max=RAW_CHARACTERS_MAX,
        required=True,
        metadata={"description": "The signed EIP-1559 transaction in hexadecimal."},
    )


class BroadcastOut(Answer):
    """Transaction that was passed on to the network."""

    payment_id = fields.String(required=True)
    transaction = fields.String(required=True, metadata={"description": "The hash of the transaction."})
    url = fields.String(required=True, allow_none=True, metadata={"description": "A page about the transaction."})


@routes.post(
    "/payments/crypto/{id}/transaction",
    access=MEMBER,
    status=200,
    body=TransactionIn,
    answer=TransactionOut,
    errors=(PaymentNotFound, NothingToPay, ChainRefused, ChainUnavailable, InvalidValue),
    calls_per_minute=CALLS_PER_MINUTE,
)
def prepare_transaction(call: Call) -> Any:
    """Make the transaction by which a wallet pays the missing amount, unsigned, with the most that it costs."""
    prepared = call.services.crypto.broadcasts.prepare(call.path["id"], call.uid, call.body["sender"])
    wanted, coin = prepared.wanted, prepared.wanted.network.coin
    return {
        "payment_id": call.path["id"],
        "network": wanted.network.name,
        "asset": wanted.asset,
        "amount": decimal_text(wanted.amount, wanted.network.assets[wanted.asset].decimals),
        "amount_atomic": str(wanted.amount),
        "transaction": {**prepared.transaction, "sender": prepared.transaction["from"]},
        "fee": {
            "asset": coin.name,
            "amount": decimal_text(prepared.cost.fee, coin.decimals),
            "amount_atomic": str(prepared.cost.fee),
            "value": prepared.fee_value,
        },
        "can_afford": prepared.lacks is None,
        "lacks": prepared.lacks,
    }


@routes.post(
    "/payments/crypto/{id}/broadcast",
    access=MEMBER,
    status=202,
    body=BroadcastIn,
    answer=BroadcastOut,
    errors=(
        PaymentNotFound,
        NothingToPay,
        TransactionRefused,
        TransactionUnderWay,
        TooManyTransactions,
        ChainRefused,
        ChainUnavailable,
        InvalidValue,
    ),
    calls_per_minute=CALLS_PER_MINUTE,
)
def broadcast(call: Call) -> Any:
    """Pass a signed transaction on to the network, if it is exactly this payment.

    The same transaction may be sent again, also after an error: it pays once.
    """
    services = call.services
    sent = services.crypto.broadcasts.broadcast(call.path["id"], call.uid, call.body["raw"])
    quote = services.payments.store.get(call.path["id"]).quote
    network = None if quote is None else services.crypto.networks.get(quote.network)
    return {
        "payment_id": call.path["id"],
        "transaction": sent,
        "url": None if network is None else network.transaction_url(sent),
    }

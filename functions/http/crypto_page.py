"""`/v1/payments/crypto/{id}/page/{key}`: the payer's page of a crypto payment, opened by a secret in the address."""

from typing import Any

from flask import Response
from marshmallow import fields

from functions.http.crypto import REFUSED_QUOTES, CoinsIn
from functions.http.crypto_schemas import CryptoNetworkOut
from functions.http.docs import HTML, PAYER, page, secure
from functions.http.fields import Answer, Choice, Credits
from functions.http.money import Money
from functions.http.payments import STATUSES, CryptoOut
from functions.http.routes import ANYBODY, Call, Routes
from shared.payments.chains.addresses import CoinsHaveCome
from shared.payments.chains.options import crypto_options
from shared.payments.chains.payer import PHASES
from shared.payments.store import PaymentNotFound
from shared.sagas.payments.crypto_checkout import PaymentNotChangeable
from shared.sagas.payments.crypto_following import NothingToTake

NOT_FOUND = 404
ROBOTS = "noindex, nofollow"
SVG = "image/svg+xml"
SVG_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
GONE_HTML = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex, nofollow">
<title>No such payment</title>
<h1>No such payment</h1>
<p>This address opens no payment. Copy the whole address once more from the app in which you began to pay.</p>
</html>
"""
PAGE = "/payments/crypto/{id}/page/{key}"

routes = Routes("payments")


class WalletCoinOut(Answer):
    """The network's own coin, as wallets describe a coin."""

    name = fields.String(required=True, metadata={"description": "The symbol of the coin."})
    symbol = fields.String(required=True, metadata={"description": "The symbol of the coin."})
    decimals = fields.Integer(required=True, metadata={"description": "Decimal digits of one whole coin."})


class WalletTransactionOut(Answer):
    """Transaction that pays what is missing, without sender and fees. Numbers are hexadecimal."""

    to = fields.String(required=True, metadata={"description": "The payment's address, or the token's contract."})
    value = fields.String(required=True, metadata={"description": "The least units of the network's own coin."})
    data = fields.String(required=True, metadata={"description": "The transfer of a token; `0x` if there is none."})


class WalletOut(Answer):
    """All that a browser's wallet (EIP-1193) needs to pay."""

    chain_id = fields.String(required=True, metadata={"description": "The chain's id, hexadecimal."})
    chain_name = fields.String(required=True, metadata={"description": "The chain's name for people."})
    coin = fields.Nested(WalletCoinOut, required=True, metadata={"description": "The network's own coin."})
    rpc_urls = fields.List(
        fields.String(), required=True, metadata={"description": "Public nodes for a wallet without this chain."}
    )
    explorer_urls = fields.List(fields.String(), required=True, metadata={"description": "Block explorers."})
    transaction = fields.Nested(
        WalletTransactionOut, required=True, metadata={"description": "The transaction that pays what is missing."}
    )


class PayerPageOut(Answer):
    """State of a payment for the payer. The state names nothing of the user.

    `phase` is the state of the coins, or the end of the purchase. The page asks again after `ask_again_seconds`; null:
    nothing changes any more.
    """

    payment_id = fields.String(required=True)
    status = Choice(*STATUSES, required=True)
    phase = Choice(*PHASES, required=True, metadata={"description": "What the page shows."})
    title = fields.String(required=True)
    price = Money(required=True)
    credits = Credits(required=True)
    bonus = Credits(required=True)
    now = fields.String(required=True, metadata={"description": "The time here, for the clock of the lock."})
    expires_at = fields.String(required=True)
    lock_seconds = fields.Integer(required=True, metadata={"description": "The length of the lock of the amount."})
    is_payable = fields.Boolean(required=True, metadata={"description": "True while the payer should send something."})
    is_changeable = fields.Boolean(
        required=True, metadata={"description": "True while network and asset can be changed: nothing has come."}
    )
    is_takeable = fields.Boolean(
        required=True, metadata={"description": "True while the credits for the part that came can be taken."}
    )
    ask_again_seconds = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Seconds until the page asks again; null: never."}
    )
    back_url = fields.String(required=True, metadata={"description": "The app's address to go back to."})
    wallet = fields.Nested(
        WalletOut,
        required=True,
        allow_none=True,
        metadata={"description": "The payment for a browser's wallet; null if there is nothing to pay with one."},
    )
    crypto = fields.Nested(CryptoOut, required=True)


class PayerNetworksOut(Answer):
    """Networks and assets that the payer can choose, and why some do not work now."""

    items = fields.List(fields.Nested(CryptoNetworkOut), required=True)


@routes.get(PAGE, access=ANYBODY, answer=HTML, query=None, is_hidden=True)
def payer_page(call: Call) -> Response:
    """Show the page on which a crypto payment is paid and followed."""
    try:
        call.services.crypto.payer_pages.open(call.path["id"], call.path["key"])
    except PaymentNotFound:
        shown = Response(GONE_HTML, NOT_FOUND, mimetype=HTML)
        secure(shown, SVG_POLICY)
        return _private(shown)
    return _private(page(PAYER / "payer.html", ["'self'"]))


@routes.get(f"{PAGE}/state", access=ANYBODY, answer=PayerPageOut, errors=(PaymentNotFound,))
def payer_page_state(call: Call) -> Any:
    """Show the state of a crypto payment to the payer, after a look at the network.

    The address of the page is the secret that opens it. All open pages share one look in a few seconds.
    """
    return call.services.crypto.payer_pages.state(call.path["id"], call.path["key"])


@routes.get(f"{PAGE}/qr", access=ANYBODY, answer=SVG, query=None, is_hidden=True, errors=(PaymentNotFound,))
def payer_page_code(call: Call) -> Response:
    """Draw the QR code of the page: the bare address, on Bitcoin the link with the amount."""
    crypto = call.services.crypto
    payment = crypto.payer_pages.open(call.path["id"], call.path["key"])
    drawn = Response(crypto.draw_code(crypto.payer_pages.code_text(payment)), mimetype=SVG)
    secure(drawn, SVG_POLICY)
    return _private(drawn)


@routes.get(f"{PAGE}/networks", access=ANYBODY, answer=PayerNetworksOut, errors=(PaymentNotFound,))
def payer_page_networks(call: Call) -> Any:
    """List the networks and assets that the payer can choose instead, while nothing has come."""
    crypto = call.services.crypto
    crypto.payer_pages.open(call.path["id"], call.path["key"])
    return {"items": crypto_options(crypto.networks, crypto.availability.current())}


@routes.post(f"{PAGE}/take", access=ANYBODY, status=200, answer=PayerPageOut, errors=(PaymentNotFound, NothingToTake))
def payer_page_take(call: Call) -> Any:
    """Take the credits for the part that has come, without waiting for the rest.

    The share has no gift. Coins that come later are credited as a deposit.
    """
    crypto, payment_id, key = call.services.crypto, call.path["id"], call.path["key"]
    payment = crypto.payer_pages.open(payment_id, key)
    crypto.follower.take(payment_id, payment.uid)
    return crypto.payer_pages.shown(crypto.payer_pages.open(payment_id, key))


@routes.post(
    f"{PAGE}/change",
    access=ANYBODY,
    status=200,
    body=CoinsIn,
    answer=PayerPageOut,
    errors=(PaymentNotFound, CoinsHaveCome, PaymentNotChangeable, *REFUSED_QUOTES),
)
def payer_page_change(call: Call) -> Any:
    """Change the network or asset while nothing has come, at a new quote. Between EVM networks the address stays."""
    crypto, payment_id, key = call.services.crypto, call.path["id"], call.path["key"]
    crypto.payer_pages.open(payment_id, key)
    changed = crypto.checkouts.change(payment_id, None, call.body["network"], call.body["asset"])
    return crypto.payer_pages.shown(changed)


def _private(response: Response) -> Response:
    """Return the response as one that no search engine lists, and no cache keeps."""
    response.headers["X-Robots-Tag"] = ROBOTS
    response.headers["Cache-Control"] = "no-store"
    return response

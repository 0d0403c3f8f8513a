"""`/v1/payments/crypto`: buy a package with coins, and change network and asset while nothing has come."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Choice, Credits, Request, Text, Time
from functions.http.money import Money
from functions.http.payments import STATUSES, URL_CHARACTERS_MAX, return_address
from functions.http.routes import MEMBER, Call, Routes
from shared.kernel.ids import ID_CHARACTERS_MAX
from shared.ledger.errors import AccountClosed, AccountFrozen
from shared.payments.chains.address_book import AddressesDisagree
from shared.payments.chains.addresses import CoinsHaveCome
from shared.payments.chains.amounts import decimal_text
from shared.payments.chains.availability import PayingUnavailable
from shared.payments.chains.indices import IndicesBusy
from shared.payments.chains.prices import PriceUnavailable
from shared.payments.packages import PackageNotFound
from shared.payments.payment import Payment, status_of
from shared.payments.store import PaymentNotFound
from shared.sagas.payments.coin_terms import BelowNetworkMinimum, PriceNotInDollars
from shared.sagas.payments.crypto_checkout import CoinOrderRequest, PaymentNotChangeable
from shared.sagas.payments.crypto_places import TooManyCryptoPayments
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.purchase_places import PackageLimitReached, TooManyCheckouts

NAME_CHARACTERS_MAX = 32
REFUSED_QUOTES = (
    PayingUnavailable,
    PriceUnavailable,
    BelowNetworkMinimum,
    PriceNotInDollars,
    AddressesDisagree,
    IndicesBusy,
    PaymentBusy,
)

routes = Routes("payments")


class CoinsIn(Request):
    """Network and asset to pay in, as `GET /v1/payments/options` lists them."""

    network = Text(
        length_min=1, length_max=NAME_CHARACTERS_MAX, required=True, metadata={"description": "The network to pay on."}
    )
    asset = Text(
        length_min=1,
        length_max=NAME_CHARACTERS_MAX,
        required=True,
        metadata={"description": "The symbol of the coins to send."},
    )


class PayWithCoinsIn(CoinsIn):
    """Package to buy, and the network and asset to pay in, as `GET /v1/payments/options` lists them.

    The payer's page leads back to these addresses. They must be of this API, of a configured origin, or of a configured
    app.
    """

    package_id = Text(length_min=1, length_max=ID_CHARACTERS_MAX, required=True)
    success_url = Text(length_min=1, length_max=URL_CHARACTERS_MAX, load_default=None)
    cancel_url = Text(length_min=1, length_max=URL_CHARACTERS_MAX, load_default=None)


class PayWithCoinsOut(Answer):
    """Address to pay to, and the amount. Send only this asset on this network.

    The rate holds for coins that arrive before `locked_until`. Coins that come later, or as another asset or on another
    network, are credited at the rate of their time. `checkout_url` opens without signing in, on any device.
    """

    payment_id = fields.String(required=True)
    status = Choice(*STATUSES, required=True)
    package_id = fields.String(required=True)
    price = Money(required=True)
    credits = Credits(required=True)
    bonus = Credits(required=True)
    network = fields.String(required=True, metadata={"description": "The network to pay on."})
    network_title = fields.String(required=True, metadata={"description": "The network's name for people."})
    asset = fields.String(required=True, metadata={"description": "The symbol of the coins to send."})
    decimals = fields.Integer(required=True, metadata={"description": "Decimal digits of one whole coin."})
    address = fields.String(required=True, metadata={"description": "The address to send the coins to."})
    amount = fields.String(required=True, metadata={"description": "The coins that are due."})
    amount_atomic = fields.String(
        required=True, metadata={"description": "The coins that are due, in the least units."}
    )
    rate = fields.String(required=True, metadata={"description": "USD that one whole coin is worth in this quote."})
    locked_until = Time(required=True)
    expires_at = Time(required=True)
    confirmations = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Blocks after which the coins count; null if the network itself tells."},
    )
    wait_seconds = fields.Integer(required=True, metadata={"description": "The usual time until the coins count."})
    uri = fields.String(required=True, metadata={"description": "A link that opens a wallet."})
    checkout_url = fields.String(required=True, allow_none=True)


@routes.post(
    "/payments/crypto",
    access=MEMBER,
    body=PayWithCoinsIn,
    answer=PayWithCoinsOut,
    errors=(
        AccountFrozen,
        AccountClosed,
        PackageNotFound,
        PackageLimitReached,
        TooManyCheckouts,
        TooManyCryptoPayments,
        *REFUSED_QUOTES,
    ),
)
def pay_with_coins(call: Call) -> Any:
    """Buy a package with coins: the answer has an address of this payment's own, and the amount due."""
    order = CoinOrderRequest(
        uid=call.uid,
        package=call.body["package_id"],
        network=call.body["network"],
        asset=call.body["asset"],
        success_url=return_address(call, "success_url"),
        cancel_url=return_address(call, "cancel_url"),
    )
    return coins_out(call.services.crypto.checkouts.begin(order, call.asked.operation, call.asked.fingerprint))


@routes.post(
    "/payments/crypto/{id}/change",
    access=MEMBER,
    body=CoinsIn,
    answer=PayWithCoinsOut,
    errors=(PaymentNotFound, CoinsHaveCome, PaymentNotChangeable, *REFUSED_QUOTES),
)
def change_coins(call: Call) -> Any:
    """Change the network or asset of a payment while nothing has come, at a new quote.

    Between EVM networks the address stays.
    """
    checkouts = call.services.crypto.checkouts
    return coins_out(checkouts.change(call.path["id"], call.uid, call.body["network"], call.body["asset"]))


def coins_out(payment: Payment) -> Mapping[str, Any]:
    """Return a payment with coins in the form of the answer."""
    quote = payment.quote
    if quote is None:
        raise PaymentNotFound
    return {
        "payment_id": payment.id,
        "status": status_of(payment),
        "package_id": payment.terms.package,
        "price": payment.terms.price,
        "credits": payment.terms.credits,
        "bonus": payment.terms.bonus,
        "network": quote.network,
        "network_title": quote.network_title,
        "asset": quote.asset,
        "decimals": quote.decimals,
        "address": quote.address,
        "amount": decimal_text(quote.due, quote.decimals),
        "amount_atomic": str(quote.due),
        "rate": quote.rate,
        "locked_until": quote.locked_until,
        "expires_at": payment.expires_at,
        "confirmations": quote.confirmations,
        "wait_seconds": quote.wait_seconds,
        "uri": quote.uri,
        "checkout_url": payment.checkout_url,
    }

"""x402: agents pay with the call that needs credits. Offers stand in `PAYMENT-REQUIRED`, beside the usual refusal."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import g
from marshmallow import fields

from functions.http.errors import ScopeMissing
from functions.http.fields import Answer, Choice, Credits
from functions.http.idempotency import Intention
from functions.http.money import Money
from functions.http.payment_errors import PAYMENT_ERRORS, PaymentRequired
from functions.http.payments import STATUSES
from functions.http.routes import MEMBER, TOP_UP_PATH, TOP_UPS, Call, Route, Routes
from shared.bootstrap import Services
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import fingerprint, operation_id
from shared.ledger.errors import InsufficientCredits
from shared.payments.chains.seen import TRANSACTION_REF
from shared.payments.chains.x402 import (
    REQUIRED_HEADER,
    RESPONSE_HEADER,
    CreditOffer,
    encoded,
    required_of,
)
from shared.payments.payment import Payment, status_of
from shared.sagas.payments.agent_payments import (
    AgentPayments,
    TopUp,
    TopUpFailed,
    TopUpRequest,
    TopUpUnderWay,
)
from shared.sagas.payments.settlement import ProviderNotConfigured
from shared.users.principal import TOP_UP, Principal

routes = Routes("payments")


class TopUpOut(Answer):
    """Credits that a signed payment bought. `transaction` is null if the chain has not shown the transaction."""

    payment_id = fields.String(required=True)
    status = Choice(*STATUSES, required=True)
    package_id = fields.String(required=True)
    price = Money(required=True)
    credits = Credits(required=True)
    bonus = Credits(required=True)
    network = fields.String(required=True, metadata={"description": "The network on which the coins came."})
    asset = fields.String(required=True, metadata={"description": "The symbol of the coins."})
    transaction = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The hash of the transaction; null if the chain has not shown the transaction."},
    )


@routes.post(
    "/payments/x402",
    access=MEMBER,
    scopes=TOP_UPS,
    answer=TopUpOut,
    errors=(PaymentRequired, *PAYMENT_ERRORS),
)
def buy_with_x402(call: Call) -> Any:
    """Buy credits with a signed payment (x402, version 2).

    Without the header `PAYMENT-SIGNATURE`, the answer is 402, and the header `PAYMENT-REQUIRED` has the offers: a
    dollar's worth of credits, and the packages. The same payment may be sent again, and pays once.
    """
    if call.top_up is None:
        _payments(call.services)
        raise PaymentRequired
    return _out(call.top_up.payment)


def offer(services: Services, route: Route, caller: Principal | None, error: DomainError) -> None:
    """Put offers into the header of a refusal, if the caller may buy. After a failure here there are no offers.

    Raises TopUpUnderWay in place of missing credits that a payment on its way may bring.
    """
    is_asked = route.path == TOP_UP_PATH or (caller is not None and caller.key is not None)
    if caller is None or not is_asked or not _may_pay(caller):
        return
    try:
        offers = _offers(services, caller, error)
    except TopUpUnderWay as under_way:
        raise under_way from error
    except DomainError as failure:
        log("offers_not_made", "WARNING", code=failure.code)
        return
    if offers:
        told = required_of(offers, f"{services.settings.public_url}{route.path}", error.detail)
        g.payment_headers[REQUIRED_HEADER] = encoded(told)


def paid(call: Call, route: Route) -> Call:
    """Make the payment in the header of a call, and return the call. Without an own key, the payment names the call.

    Raises PAYMENT_ERRORS.
    """
    if not _may_pay(call.principal):
        raise ScopeMissing(TOP_UPS)
    asked = call.asked
    name = "\n".join((route.method, route.path, *(call.path[each] for each in sorted(call.path))))
    key = asked.operation if asked.has_key else ""
    top_up = _payments(call.services).pay(
        TopUpRequest(
            uid=call.uid,
            key=call.principal.key,
            header=call.payment,
            call=fingerprint(f"{name}\n{key}\n{asked.fingerprint}"),
        )
    )
    return _after(call, top_up)


def _offers(services: Services, caller: Principal, error: DomainError) -> Sequence[CreditOffer]:
    payments = services.crypto.agent_payments
    if payments is None:
        return ()
    if isinstance(error, InsufficientCredits):
        return payments.offers_for_call(caller.uid, caller.key)
    return payments.offers(caller.uid, caller.key)


def _after(call: Call, top_up: TopUp) -> Call:
    """Return the call after its payment, and tell the payment in a header. Raises TopUpFailed.

    If the authorization was used before, the coins may have been credited already, so the call is tried.
    """
    g.payment_headers[RESPONSE_HEADER] = encoded(top_up.response)
    if top_up.failure and not top_up.is_used:
        raise TopUpFailed(top_up.failure)
    asked = call.asked
    if not asked.has_key:
        operation = operation_id("x402", top_up.payment.id)
        asked = Intention(operation=operation, fingerprint=asked.fingerprint, has_key=True)
    return replace(call, intention=asked, top_up=top_up)


def _may_pay(caller: Principal) -> bool:
    """Return True for a user in person, and for a key that may top up."""
    return caller.key is None or (TOP_UP in caller.key.scopes and caller.key.cap is not None)


def _payments(services: Services) -> AgentPayments:
    payments = services.crypto.agent_payments
    if payments is None:
        raise ProviderNotConfigured("x402")
    return payments


def _out(payment: Payment) -> dict[str, Any]:
    quote = payment.quote
    assert quote is not None, "a payment on a chain has a quote"
    return {
        "payment_id": payment.id,
        "status": status_of(payment),
        "package_id": payment.terms.package,
        "price": payment.terms.price,
        "credits": payment.terms.credits,
        "bonus": payment.terms.bonus,
        "network": quote.network,
        "asset": quote.asset,
        "transaction": payment.refs.get(TRANSACTION_REF),
    }

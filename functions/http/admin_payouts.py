"""`/v1/admin/payments/{id}/refunds`: operators send the coins of refunds from their own wallets, or call them off."""

from typing import Any

from functions.http.admin_payment_views import AdminPaymentOut, told_payment
from functions.http.admin_payments import ReplayIn
from functions.http.fields import Request, Text
from functions.http.routes import ACT, Call, Routes
from shared.kernel.errors import InvalidValue
from shared.payments.chains.payouts import PayoutIsOut, PayoutNotFound, PayoutNotShown, TransactionServesAnother
from shared.payments.chains.ports import ChainUnavailable
from shared.payments.store import PaymentNotFound
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.payouts import PayoutBusy
from shared.users.audit import REASON_MAX
from shared.users.operator_acts import OwnAccount

HASH_CHARACTERS_MAX = 128

routes = Routes("admin_payments")


class SentIn(Request):
    """Transaction that sends the coins of a refund."""

    tx = Text(length_min=1, length_max=HASH_CHARACTERS_MAX, required=True)
    reason = Text(length_min=1, length_max=REASON_MAX, load_default=None)


@routes.post(
    "/admin/payments/{id}/refunds/{refund_id}/sent",
    status=200,
    access=ACT,
    body=SentIn,
    answer=AdminPaymentOut,
    errors=(
        PaymentNotFound,
        PayoutNotFound,
        OwnAccount,
        PayoutNotShown,
        PayoutIsOut,
        TransactionServesAnother,
        InvalidValue,
        PayoutBusy,
        PaymentBusy,
        ChainUnavailable,
    ),
)
def payout_sent(call: Call) -> Any:
    """Say which transaction sends the coins of a refund. It is believed when the network shows it.

    It must have succeeded, and send exactly these coins to the address of this refund. Ask again until `state` is
    `sent`; the network is looked at meanwhile anyway.
    """
    services, path, body = call.services, call.path, call.body
    services.payments.operators.payout_sent(call.principal, path["id"], path["refund_id"], body["tx"], body["reason"])
    return told_payment(call, path["id"])


@routes.post(
    "/admin/payments/{id}/refunds/{refund_id}/cancel",
    status=200,
    access=ACT,
    body=ReplayIn,
    answer=AdminPaymentOut,
    errors=(PaymentNotFound, PayoutNotFound, OwnAccount, PayoutIsOut, PayoutBusy, PaymentBusy, ChainUnavailable),
)
def cancel_payout(call: Call) -> Any:
    """Call off a refund in coins that was not sent. The user's credits return."""
    services, path = call.services, call.path
    services.payments.operators.cancel_payout(call.principal, path["id"], path["refund_id"], call.body["reason"])
    return told_payment(call, path["id"])

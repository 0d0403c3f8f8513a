"""`/v1/payments/{id}/refund-address`: where the coins of a payment go if the payment is refunded."""

from typing import Any

from functions.http.crypto_schemas import RefundAddressOut
from functions.http.fields import Request, Text
from functions.http.routes import MEMBER, Call, Routes
from shared.kernel.errors import InvalidValue, NotFound
from shared.payments.chains.refund_addresses import NoRefundAddressNeeded, RefundAddressBusy, address_view
from shared.payments.store import PaymentNotFound

ADDRESS_CHARACTERS_MAX = 128

routes = Routes("payments")


class RefundAddressIn(Request):
    """Address on the payment's own network."""

    address = Text(length_min=1, length_max=ADDRESS_CHARACTERS_MAX, required=True)


class NoRefundAddress(NotFound):
    """Error for a payment for which no address was named."""

    code = "no_refund_address"

    def __init__(self) -> None:
        super().__init__("No address for a refund of this payment was named.")


@routes.get(
    "/payments/{id}/refund-address",
    access=MEMBER,
    answer=RefundAddressOut,
    errors=(PaymentNotFound, NoRefundAddressNeeded, NoRefundAddress),
)
def refund_address(call: Call) -> Any:
    """Show the address to which coins go back if the payment is refunded."""
    named = call.services.crypto.refund_addresses.of_user(call.path["id"], call.uid)
    if named is None:
        raise NoRefundAddress
    return address_view(named, call.services.clock.now())


@routes.put(
    "/payments/{id}/refund-address",
    access=MEMBER,
    body=RefundAddressIn,
    answer=RefundAddressOut,
    errors=(PaymentNotFound, NoRefundAddressNeeded, RefundAddressBusy, InvalidValue),
)
def put_refund_address(call: Call) -> Any:
    """Name the address of your own wallet to which coins go back if the payment is refunded.

    Coins never go back to their sender, which may be an exchange. The address counts after a day; at once if you have
    signed in within the last five minutes. The last address that was named is the one that counts.
    """
    addresses = call.services.crypto.refund_addresses
    signed_in_at = call.principal.signed_in_at
    named = addresses.put(call.path["id"], call.uid, call.body["address"], signed_in_at)
    return address_view(named, call.services.clock.now())

"""`/v1/payments/crypto/{id}/take`: the credits for the part that came, without waiting for the rest."""

from typing import Any

from functions.http.payments import PaymentOut
from functions.http.routes import MEMBER, Call, Routes
from shared.payments.store import PaymentNotFound
from shared.sagas.payments.crypto_following import AddressBusy, NothingToTake

routes = Routes("payments")


@routes.post(
    "/payments/crypto/{id}/take",
    status=200,
    access=MEMBER,
    answer=PaymentOut,
    errors=(PaymentNotFound, NothingToTake, AddressBusy),
)
def take_part(call: Call) -> Any:
    """Take the credits for the coins that came, if fewer than due came: their share, without the gift.

    Coins that are not deep enough yet are waited for. Coins that come later are credited at the rate of that time.
    """
    payment = call.path["id"]
    call.services.crypto.follower.take(payment, call.uid)
    return call.services.payments.store.view(payment, call.uid)

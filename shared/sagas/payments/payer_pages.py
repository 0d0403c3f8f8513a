"""Page of a crypto payment: opened by a secret in the address, without signing in, on any device."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.payments.chains.networks import Network
from shared.payments.chains.payer import OVER, link_of, payer_view, phase_of
from shared.payments.chains.ports import NetworkName
from shared.payments.chains.view import state_of
from shared.payments.payment import Payment, quote_of, status_of
from shared.payments.store import PaymentNotFound, Payments

LookAtNetwork = Callable[[Payment], None]
"""Function that looks at the network of a payment, and may change the payment. Raises nothing."""


class PayerPages:
    """Pages of payers. All open pages share the looks at their networks."""

    def __init__(
        self, documents: Documents, networks: Mapping[NetworkName, Network], look: LookAtNetwork, clock: Clock
    ) -> None:
        self._payments = Payments(documents)
        self._networks = networks
        self._look = look
        self._clock = clock

    def open(self, payment_id: str, key: str) -> Payment:
        """Return the payment whose page has this key. Raises PaymentNotFound, also for a wrong key.

        The time that the comparison takes does not tell how much of a key is right.
        """
        payment = self._payments.find(payment_id)
        expected = "" if payment is None else payment.page_key
        is_right = hmac.compare_digest(expected.encode(), key.encode())
        if payment is None or not expected or not is_right or payment.quote is None:
            raise PaymentNotFound
        return payment

    def state(self, payment_id: str, key: str) -> Mapping[str, Any]:
        """Return the state that the page shows, after a look at the network. Raises PaymentNotFound."""
        payment = self.open(payment_id, key)
        if phase_of(status_of(payment), state_of(payment)) not in OVER:
            self._look(payment)
            payment = self.open(payment_id, key)
        return self.shown(payment)

    def shown(self, payment: Payment) -> Mapping[str, Any]:
        """Return the state that the page shows, as far as the payment is known."""
        return payer_view(payment, self._networks.get(quote_of(payment).network), self._clock.now())

    def code_text(self, payment: Payment) -> str:
        """Return the text of the page's QR code: the bare address, on Bitcoin the link with the amount (BIP21).

        Read as a QR code, the link of a token (EIP-681) has made wallets pay the token's contract.
        """
        quote = quote_of(payment)
        if payment.provider != "bitcoin":
            return quote.address
        return link_of(payment, self._networks.get(quote.network)) or quote.address

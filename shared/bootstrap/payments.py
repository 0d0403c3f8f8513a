"""Parts for packages, payments, and the notices of payment providers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.bootstrap.users import UserServices
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.payments.inbox import Inbox
    from shared.payments.packages import Packages
    from shared.payments.ports import ProviderName, Webhooks
    from shared.payments.store import Payments
    from shared.platform.paypal.vouching import PayPalVouching
    from shared.sagas.payments.cancellations import Cancellations
    from shared.sagas.payments.checkout import Checkouts
    from shared.sagas.payments.notices import PaymentInbox
    from shared.sagas.payments.operators import PaymentOperators
    from shared.sagas.payments.refunds import Refunds
    from shared.sagas.payments.replays import PaymentReplays
    from shared.sagas.payments.settlement import Settlement


@dataclass(eq=False)
class PaymentServices:
    """Parts for packages, payments, and the notices of payment providers."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits: CreditServices
    users: UserServices

    @part
    def packages(self) -> "Packages":
        """Build the catalogue of packages."""
        from shared.payments.packages import Packages

        return Packages(self.ports.documents(), self.clock)

    @part
    def store(self) -> "Payments":
        """Build the reader of payments."""
        from shared.payments.store import Payments

        return Payments(self.ports.documents())

    @part
    def checkouts(self) -> "Checkouts":
        """Build the saga by which a user buys a package."""
        from shared.sagas.payments.checkout import Checkouts

        return Checkouts(
            self.ports.documents(),
            self.packages,
            self.ports.payment_providers(),
            self.clock,
            self.credits.ledger,
            self.cancellations,
            f"{self.settings.public_url}/v1/payments",
        )

    @part
    def cancellations(self) -> "Cancellations":
        """Build the saga by which a user turns back from a checkout."""
        from shared.sagas.payments.cancellations import Cancellations

        return Cancellations(self.ports.documents(), self.ports.payment_providers(), self.settlement, self.clock)

    @part
    def settlement(self) -> "Settlement":
        """Build the saga that brings users' accounts in line with the payment providers' state."""
        from shared.sagas.payments.settlement import Settlement
        from shared.sagas.payments.steps import PaymentSteps

        steps = PaymentSteps(
            self.ports.documents(),
            self.credits.ledger,
            self.ports.payment_providers(),
            self.clock,
            self.users.mailbox_debts,
        )
        return Settlement(
            self.ports.documents(), self.ports.payment_providers(), steps, self.ports.alerts(), self.clock
        )

    @part
    def refunds(self) -> "Refunds":
        """Build the service by which operators give money back."""
        from shared.sagas.payments.refunds import Refunds

        return Refunds(self.ports.documents(), self.settlement, self.clock)

    @part
    def stripe_webhooks(self) -> "Webhooks":
        """Build the verifier of Stripe's events."""
        from shared.platform.stripe.webhooks import StripeWebhooks

        return StripeWebhooks(self.settings.stripe_webhook_secret, self.clock)

    @part
    def paypal_webhooks(self) -> "Webhooks":
        """Build the verifier of PayPal's events."""
        from shared.platform.paypal.webhooks import PayPalWebhooks

        return PayPalWebhooks(
            webhook_id=self.settings.paypal_webhook_id,
            api_base=self.settings.paypal_api_base,
            roots=self.settings.paypal_webhook_roots,
            clock=self.clock,
            documents=self.ports.documents(),
            alerts=self.ports.alerts(),
            vouching=(lambda: self.paypal_vouching) if self.settings.paypal_client_secret else None,
        )

    @part
    def paypal_vouching(self) -> "PayPalVouching":
        """Build PayPal's own check of signatures. PayPal's SDK is loaded at the first check only."""
        from shared.platform.paypal.vouching import PayPalVouching

        settings = self.settings
        return PayPalVouching(
            api_base=settings.paypal_api_base,
            client_id=settings.paypal_client_id,
            client_secret=settings.paypal_client_secret,
            webhook_id=settings.paypal_webhook_id,
            clock=self.clock,
            alerts=self.ports.alerts(),
        )

    @part
    def inbox(self) -> "Inbox":
        """Build the store of payment providers' notices."""
        from shared.payments.inbox import Inbox
        from shared.platform.paypal.addresses import is_live_address
        from shared.platform.stripe.events import is_live_key

        settings = self.settings
        modes: dict[ProviderName, bool] = {"paypal": is_live_address(settings.paypal_api_base)}
        if settings.stripe_secret_key:
            modes["stripe"] = is_live_key(settings.stripe_secret_key)
        return Inbox(self.ports.documents(), self.clock, self.ports.alerts(), modes)

    @part
    def notices(self) -> "PaymentInbox":
        """Build the worker that settles the payment named in a notice."""
        from shared.sagas.payments.notices import PaymentInbox

        return PaymentInbox(
            self.ports.documents(), self.settlement, self.ports.payment_providers(), self.ports.alerts(), self.clock
        )

    @part
    def operators(self) -> "PaymentOperators":
        """Build the service for operators' acts on payments."""
        from shared.sagas.payments.operators import PaymentOperators
        from shared.users.operator_acts import AdminCheck

        return PaymentOperators(
            AdminCheck(self.ports.identity()),
            self.users.audit,
            self.packages,
            self.store,
            self.refunds,
            self.settlement,
        )

    @part
    def replays(self) -> "PaymentReplays":
        """Build the command-line service that retries payments and notices that wait for a person."""
        from shared.sagas.payments.replays import PaymentReplays

        return PaymentReplays(self.users.audit, self.store, self.settlement, self.inbox, self.notices)

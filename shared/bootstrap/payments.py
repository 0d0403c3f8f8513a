"""The parts that take money in and give it back."""

from typing import TYPE_CHECKING

from shared.bootstrap.parts import part
from shared.bootstrap.users import UserParts

if TYPE_CHECKING:
    from shared.payments.inbox import Inbox
    from shared.payments.packages import Packages
    from shared.payments.ports import ProviderName, Webhooks
    from shared.payments.store import Payments
    from shared.platform.paypal.vouching import PayPalVouching
    from shared.sagas.checkout import Checkouts
    from shared.sagas.payment_inbox import PaymentInbox
    from shared.sagas.refunds import Refunds
    from shared.sagas.settlement import Settlement


class PaymentParts(UserParts):
    """What is sold, what was paid, what providers tell us of it."""

    @part
    def packages(self) -> "Packages":
        """What is sold."""
        from shared.payments.packages import Packages

        return Packages(self.documents, self.clock)

    @part
    def payments(self) -> "Payments":
        """What was paid."""
        from shared.payments.store import Payments

        return Payments(self.documents)

    @part
    def checkouts(self) -> "Checkouts":
        """Buying a package."""
        from shared.sagas.checkout import Checkouts

        return Checkouts(self.documents, self.packages, self.payment_providers, self.clock, self.ledger)

    @part
    def settlement(self) -> "Settlement":
        """Accounts brought to what providers say."""
        from shared.sagas.payment_steps import PaymentSteps
        from shared.sagas.settlement import Settlement

        steps = PaymentSteps(self.documents, self.ledger, self.payment_providers, self.clock, self.mailbox_debts)
        return Settlement(self.documents, self.payment_providers, steps, self.alerts, self.clock)

    @part
    def refunds(self) -> "Refunds":
        """Money given back by us."""
        from shared.sagas.refunds import Refunds

        return Refunds(self.documents, self.settlement, self.clock)

    @part
    def stripe_webhooks(self) -> "Webhooks":
        """Whether an event is Stripe's."""
        from shared.platform.stripe.webhooks import StripeWebhooks

        return StripeWebhooks(self.settings.stripe_webhook_secret, self.clock)

    @part
    def paypal_webhooks(self) -> "Webhooks":
        """Whether an event is PayPal's."""
        from shared.platform.paypal.webhooks import PayPalWebhooks

        return PayPalWebhooks(
            webhook_id=self.settings.paypal_webhook_id,
            api_base=self.settings.paypal_api_base,
            roots=self.settings.paypal_webhook_roots,
            clock=self.clock,
            documents=self.documents,
            alerts=self.alerts,
            vouching=(lambda: self.paypal_vouching) if self.settings.paypal_client_secret else None,
        )

    @part
    def paypal_vouching(self) -> "PayPalVouching":
        """PayPal's own check of signatures. Its SDK is loaded only when it is asked."""
        from shared.platform.paypal.vouching import PayPalVouching

        settings = self.settings
        return PayPalVouching(
            api_base=settings.paypal_api_base,
            client_id=settings.paypal_client_id,
            client_secret=settings.paypal_client_secret,
            webhook_id=settings.paypal_webhook_id,
            clock=self.clock,
            alerts=self.alerts,
        )

    @part
    def inbox(self) -> "Inbox":
        """What payment providers told us."""
        from shared.payments.inbox import Inbox
        from shared.platform.paypal.addresses import is_live_address
        from shared.platform.stripe.events import is_live_key

        settings = self.settings
        modes: dict[ProviderName, bool] = {"paypal": is_live_address(settings.paypal_api_base)}
        if settings.stripe_secret_key:
            modes["stripe"] = is_live_key(settings.stripe_secret_key)
        return Inbox(self.documents, self.clock, self.alerts, modes)

    @part
    def payment_inbox(self) -> "PaymentInbox":
        """What providers' notices lead to."""
        from shared.sagas.payment_inbox import PaymentInbox

        return PaymentInbox(self.documents, self.settlement, self.payment_providers, self.alerts, self.clock)

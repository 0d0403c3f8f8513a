"""Parts for packages, payments, and the notices of payment providers."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.bootstrap.users import UserServices
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.payments.inbox import Inbox
    from shared.payments.packages import Packages
    from shared.payments.ports import PaymentProvider, ProviderName, Webhooks
    from shared.payments.store import Payments
    from shared.sagas.payments.cancellations import Cancellations
    from shared.sagas.payments.checkout import Checkouts
    from shared.sagas.payments.event_listing import EventListing
    from shared.sagas.payments.notices import PaymentInbox
    from shared.sagas.payments.operators import PaymentOperators
    from shared.sagas.payments.payouts import Payouts
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
    chains: "Callable[[], Mapping[ProviderName, PaymentProvider]]" = dict
    """Kinds of chains in use, as providers."""
    payouts: "Callable[[], Payouts] | None" = None
    """Payouts of refunds in coins."""

    @part
    def providers(self) -> "Mapping[ProviderName, PaymentProvider]":
        """Build the table of all providers of payments, on chains or not."""
        return ChainMap(cast("dict[str, PaymentProvider]", self.ports.payment_providers()), dict(self.chains()))

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

        return Cancellations(self.ports.documents(), self.providers, self.settlement, self.clock)

    @part
    def settlement(self) -> "Settlement":
        """Build the saga that brings users' accounts in line with the payment providers' state."""
        from shared.sagas.payments.settlement import Settlement
        from shared.sagas.payments.steps import PaymentSteps

        steps = PaymentSteps(
            self.ports.documents(),
            self.credits.ledger,
            self.providers,
            self.clock,
            self.users.mailbox_debts,
            self.payouts,
        )
        return Settlement(self.ports.documents(), self.providers, steps, self.ports.alerts(), self.clock)

    @part
    def refunds(self) -> "Refunds":
        """Build the service by which operators give money back."""
        from shared.sagas.payments.refunds import Refunds

        return Refunds(self.ports.documents(), self.settlement, self.clock, self.payouts)

    @part
    def inbox(self) -> "Inbox":
        """Build the store of payment providers' notices."""
        from shared.bootstrap.payment_adapters import live_modes
        from shared.payments.inbox import Inbox

        modes = live_modes(self.settings)
        return Inbox(self.ports.documents(), self.clock, self.ports.alerts(), modes)

    @part
    def notices(self) -> "PaymentInbox":
        """Build the worker that settles the payment named in a notice."""
        from shared.sagas.payments.notices import PaymentInbox

        return PaymentInbox(
            self.ports.documents(), self.settlement, self.ports.payment_providers(), self.ports.alerts(), self.clock
        )

    @part
    def event_listing(self) -> "EventListing":
        """Build the worker that lists providers' events, for notices that no webhook brought."""
        from shared.sagas.payments.event_listing import EventListing

        return EventListing(self.ports.documents(), self.inbox, self.notices, self.ports.payment_providers, self.clock)

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
            self.payouts,
        )

    @part
    def replays(self) -> "PaymentReplays":
        """Build the command-line service that retries payments and notices that wait for a person."""
        from shared.sagas.payments.replays import PaymentReplays

        return PaymentReplays(self.users.audit, self.store, self.settlement, self.inbox, self.notices)

    @part
    def webhooks(self) -> "Mapping[ProviderName, Webhooks]":
        """Build the verifiers of providers' notices, by provider."""
        from shared.bootstrap.payment_adapters import WebhooksOfProviders
        from shared.payments.adapters import AdapterParts

        return WebhooksOfProviders(
            AdapterParts(
                settings=self.settings,
                clock=self.clock,
                documents=self.ports.documents,
                alerts=self.ports.alerts,
            )
        )

"""Port to payment providers: checkouts, refunds, the present state of a payment, and verified notices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.kernel.clock import Millis
from shared.kernel.errors import Rejected, Unavailable
from shared.kernel.ids import Uid
from shared.payments.chains.report import ChainTruth
from shared.payments.fiat import Fiat

ProviderName = str
"""Name of a provider, one of `shared.payments.providers.PROVIDER_NAMES`."""
Flow = Literal["redirect", "intent"]
"""Way of paying: on the provider's own page, or inside an app with a secret of this one payment."""

Refs = Mapping[str, str]
"""Provider's own objects of a payment, by kind: Stripe `session, intent, charge`, PayPal `order, capture`."""

Stage = Literal["open", "approved", "pending", "paid", "failed", "cancelled", "expired"]
"""Progress of a payment at its provider.

`open`: the user has still to pay. `approved`: the money is ready to capture. `pending`: the provider is still working.
`failed` (declined, denied), `cancelled` and `expired` can still become `paid` when money comes late.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """Amount to be paid, and the pages to which the user returns.

    `payment` identifies the checkout at the provider for ever.
    """

    payment: str
    uid: Uid
    amount: Fiat
    title: str
    flow: Flow
    success_url: str
    cancel_url: str
    expires_at: Millis
    customer: str | None = None
    """Provider's name for this user; None if the user has never paid there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCheckout:
    """Checkout that the provider has opened.

    Of `checkout_url` and `client_secret` one is set, by the flow; the other is None.

    `refs` are the provider's ids of the checkout's objects. `customer` is the provider's name for the user, None if
    unknown.
    """

    refs: Refs
    checkout_url: str | None = None
    client_secret: str | None = None
    customer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money that went back, is on its way (`pending`: as good as gone), or did not arrive after all (`failed`)."""

    id: str
    amount: Fiat
    status: Literal["pending", "succeeded", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """Claim of a payer against the payment.

    `lost`: the money moved away. `won` and `withdrawn`: no money moved, or the money came back. `refund` is the id of
    the refund by which the provider lists the same money again, None if there is none.
    """

    id: str
    amount: Fiat
    status: Literal["open", "won", "lost", "withdrawn"]
    refund: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Present state of a payment at its provider. `paid` is the received money, None before.

    `money` is the provider's name for the money received (Stripe: the PaymentIntent; PayPal: the capture), None before.
    `payment` is our payment id as the provider's object states it. `warnings` are ids of early fraud warnings.
    `failure` is the provider's reason for a failed payment, else None.
    """

    stage: Stage
    refs: Refs
    is_live: bool
    payment: str | None
    money: str | None = None
    paid: Fiat | None = None
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    warnings: tuple[str, ...] = ()
    receipt_url: str | None = None
    failure: str | None = None
    withdrawn: Literal["", "open", "lost"] = ""
    """State of received money. `lost`: the provider took all of the money back. `open`: the provider holds all."""
    chain: ChainTruth | None = None
    """Facts that only a payment on a chain has; None for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Verified or listed event of the provider: a hint to ask for the truth, never the truth itself.

    `payment` is our payment id if the event carries one. `account` is the foreign account that the event is for, else
    None.
    """

    provider: ProviderName
    id: str
    type: str
    at: Millis
    is_live: bool
    account: str | None = None
    payment: str | None = None
    refs: Refs = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Page of a provider's events. `cursor` names the start of the next page; None on the last page."""

    items: Sequence[Notice]
    cursor: str | None


class PaymentProvider(Protocol):
    """Provider of payments, through our account there. Calls have timeouts.

    Each may be repeated with the same arguments.
    """

    @property
    def name(self) -> ProviderName:
        """Return the provider's name."""
        ...

    @property
    def is_live(self) -> bool:
        """Return True for real money. Payments of the other mode are never credited."""
        ...

    def open(self, checkout: Checkout) -> OpenedCheckout:
        """Open a checkout, and return the checkout: always the same one for the same payment and end.

        Raises ProviderRefused, ProviderUnavailable.
        """
        ...

    def truth(self, refs: Refs, disputes: Sequence[str] = ()) -> Truth:
        """Return the present state of the payment that `refs` belong to. Raises UnknownAtProvider, ProviderUnavailable.

        All pages are read, so that no refund and no dispute is left out. `disputes` are ids of disputes reported
        before. If the list no longer has such a dispute, the provider is asked for it by id. The answer's `refs` hold
        all objects known now.
        """
        ...

    def capture(self, refs: Refs, key: str) -> None:
        """Capture the approved money once, however many workers call at once; a repeated call changes nothing.

        Raises ProviderRefused, ProviderUnavailable, and CaptureInProgress while another call captures this money.
        """
        ...

    def refund(self, refs: Refs, amount: Fiat, key: str) -> Refund:
        """Give money back, and return the refund; the same `key` gives the same refund.

        Providers forget keys after hours or days. So a refund carries its key as a mark, and is searched for first.
        Raises ProviderRefused, ProviderUnavailable.
        """
        ...

    def cancel(self, refs: Refs) -> None:
        """Close the checkout so that nobody can pay any more; a paid one stays paid. Raises ProviderUnavailable."""
        ...

    def locate(self, refs: Refs) -> str | None:
        """Return our payment id that the provider stores with these objects; None if they belong to another system.

        Raises UnknownAtProvider, ProviderUnavailable.
        """
        ...

    def notices(self, since: Millis, cursor: str | None, until: Millis | None = None) -> Notices:
        """Return events from `since` until `until` (ms; None: now), in the provider's order, oldest or newest first.

        `cursor` continues at a later page; None: the first page. An event that cannot be read is logged and left out.
        Raises ProviderUnavailable; ProviderRefused or UnknownAtProvider if the provider no longer takes the cursor.
        """
        ...

    def customer_session(self, customer: str) -> str | None:
        """Return a new secret that lets an app's form show this customer's saved means of payment; None if unsupported.

        Raises ProviderRefused, ProviderUnavailable.
        """
        ...

    def forget_customer(self, customer: str) -> None:
        """Delete the provider's data of a user who left, if there is any. Raises ProviderUnavailable."""
        ...


class Webhooks(Protocol):
    """Verifier of notices that claim to come from a provider."""

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> Notice:
        """Return the notice in these raw bytes. `headers` are by lower-case name.

        Raises WebhookRefused for a notice that is not provably the provider's. Raises WebhookNotConfigured while there
        is no secret to verify notices with. Raises ProviderUnavailable if a certificate could not be fetched.
        """
        ...


class ProviderRefused(Rejected):
    """Final refusal by the payment provider; a repeated request will not help."""

    code = "provider_refused"

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"The payment provider refused: {reason}.", provider=provider, reason=reason)


class UnknownAtProvider(Rejected):
    """Error for an object that the payment provider does not know."""

    code = "unknown_at_provider"

    def __init__(self, provider: str) -> None:
        super().__init__("The payment provider does not know this payment.", provider=provider)


class ProviderUnavailable(Unavailable):
    """Failure to reach the payment provider, or an overloaded or failing one. The outcome of the call is unknown."""

    code = "provider_unavailable"

    def __init__(self, provider: str) -> None:
        super().__init__("The payment provider is not available right now.", provider=provider)


class CaptureInProgress(ProviderUnavailable):
    """Capture that is refused while another capture of the same money is under way. That other capture decides."""


class WebhookRefused(Rejected):
    """Error for a notice that is not provably the provider's: forged, stale, from the future, or altered."""

    code = "webhook_refused"

    def __init__(self, reason: str) -> None:
        super().__init__("This notice was not accepted.", reason=reason)


class WebhookNotConfigured(Unavailable):
    """Error for a provider whose webhook secret is not set. None of its notices is accepted."""

    code = "webhook_not_configured"

    def __init__(self) -> None:
        super().__init__("Webhooks of this provider are not configured.")

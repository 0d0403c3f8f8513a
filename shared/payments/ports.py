"""What payments need of the outside: a provider that can be asked what is true, and its notices, verified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.kernel.clock import Millis
from shared.kernel.errors import Rejected, Unavailable
from shared.kernel.ids import Uid
from shared.payments.fiat import Fiat

ProviderName = Literal["stripe", "paypal"]
Flow = Literal["redirect", "intent"]
"""How the user pays: on the provider's own page, or inside an app with a secret of this one payment."""

Refs = Mapping[str, str]
"""The provider's own objects of one payment, by kind: Stripe `session, intent, charge`, PayPal `order, capture`."""

Stage = Literal["open", "approved", "pending", "paid", "failed", "expired"]
"""`open`: the user has still to pay. `approved`: it is ours to capture. `pending`: the provider still works on it.
`failed` (declined, denied, cancelled) and `expired` can still become `paid` when money comes late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What is to be paid, and where the user goes afterwards. `payment` names it at the provider for ever."""

    payment: str
    uid: Uid
    amount: Fiat
    title: str
    flow: Flow
    success_url: str
    cancel_url: str
    expires_at: Millis
    customer: str | None = None
    """The provider's name for this user, if they have paid there before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A checkout as the provider opened it. One of `checkout_url` and `client_secret` is there, as the flow asks."""

    refs: Refs
    checkout_url: str | None = None
    client_secret: str | None = None
    customer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money that went back, or is on its way (`pending`: as good as gone), or did not arrive after all (`failed`)."""

    id: str
    amount: Fiat
    status: Literal["pending", "succeeded", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """An argument about the payment. `lost`: its money moved away. `won` and `withdrawn`: none moved, or it came back.

    `refund` is the id of the refund by which the provider tells the same money once more, None if there is none.
    """

    id: str
    amount: Fiat
    status: Literal["open", "won", "lost", "withdrawn"]
    refund: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """All that the provider says of one payment now.

    `money` is its name for the money received (Stripe: the PaymentIntent; PayPal: the capture), once there is any;
    `payment` what its own object says it was for. `warnings` are early warnings of fraud, by id.
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
    """What the provider says of money that was ours already: `lost`, it took all of it back; `open`, it holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An event of the provider's, verified or listed: a nudge to ask for the truth, never the truth itself.

    `payment` is our own name if the event carries it, `account` the foreign account it is for, if it names one.
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
    """A page of notices, and where the next begins; None at the end."""

    items: Sequence[Notice]
    cursor: str | None


class PaymentProvider(Protocol):
    """One provider, as our account with it. Calls have timeouts; each may be repeated with the same arguments."""

    @property
    def name(self) -> ProviderName:
        """Which one."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether its money is real: what any other mode says is never credited."""
        ...

    def open(self, checkout: Checkout) -> Opened:
        """Open a checkout; the same payment always gets the same one. Raises ProviderRefused, ProviderUnavailable."""
        ...

    def truth(self, refs: Refs, disputes: Sequence[str] = ()) -> Truth:
        """What is true now, of the payment that these objects belong to. Raises UnknownAtProvider, ProviderUnavailable.

        Paginated to its end: no refund and no dispute is left out. `disputes` are ids that were told before: where the
        list no longer has them, they are asked for by id. `refs` of the answer hold all that is known now.
        """
        ...

    def capture(self, refs: Refs, key: str) -> None:
        """Take what was approved, once: done before is done. Raises ProviderRefused, ProviderUnavailable."""
        ...

    def refund(self, refs: Refs, amount: Fiat, key: str) -> Refund:
        """Give money back; the same `key` gives the same refund. Raises ProviderRefused, ProviderUnavailable.

        Providers forget keys after hours or days, so a refund carries its key as a mark, and is looked for first.
        """
        ...

    def cancel(self, refs: Refs) -> None:
        """Let nobody pay this any more; what is paid already stays paid. Raises ProviderUnavailable."""
        ...

    def locate(self, refs: Refs) -> str | None:
        """Our name for the payment that these objects belong to, as the provider has it; None if it is none of ours.

        Raises UnknownAtProvider, ProviderUnavailable.
        """
        ...

    def notices(self, since: Millis, cursor: str | None) -> Notices:
        """Events since then, oldest or newest first as the provider lists them. Raises ProviderUnavailable."""
        ...

    def customer_session(self, customer: str) -> str | None:
        """Return a new secret with which an app's form shows this customer's saved means; None without such a thing.

        Raises ProviderRefused, ProviderUnavailable.
        """
        ...

    def forget_customer(self, customer: str) -> None:
        """Delete what the provider keeps of a user who left; gone already is gone. Raises ProviderUnavailable."""
        ...


class Webhooks(Protocol):
    """Verifies what is said to come from a provider."""

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> Notice:
        """The notice in these raw bytes. `headers` by lower-case name.

        Raises WebhookRefused for what is not provably the provider's, WebhookNotConfigured while there is no secret to
        prove it with, ProviderUnavailable when a certificate could not be fetched.
        """
        ...


class ProviderRefused(Rejected):
    """The payment provider will not do this; asking again will not help."""

    code = "provider_refused"

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"The payment provider refused: {reason}.", provider=provider, reason=reason)


class UnknownAtProvider(Rejected):
    """The payment provider knows no such object."""

    code = "unknown_at_provider"

    def __init__(self, provider: str) -> None:
        super().__init__("The payment provider does not know this payment.", provider=provider)


class ProviderUnavailable(Unavailable):
    """The payment provider could not be reached, failed, or is too busy; whether it acted is not known."""

    code = "provider_unavailable"

    def __init__(self, provider: str) -> None:
        super().__init__("The payment provider is not available right now.", provider=provider)


class WebhookRefused(Rejected):
    """Not provably from the provider: forged, stale, from the future, or altered on its way."""

    code = "webhook_refused"

    def __init__(self, reason: str) -> None:
        super().__init__("This notice was not accepted.", reason=reason)


class WebhookNotConfigured(Unavailable):
    """There is no secret to verify this provider's notices with; none is accepted."""

    code = "webhook_not_configured"

    def __init__(self) -> None:
        super().__init__("Webhooks of this provider are not configured.")

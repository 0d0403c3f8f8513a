"""Adapter of Stripe, see `PaymentAdapter`."""

from shared.kernel.settings import Settings
from shared.payments.adapters import AdapterParts
from shared.payments.ports import PaymentProvider, Webhooks
from shared.platform.stripe.events import EVENT_TYPES, is_live_key

LIVE = "pk_live_"


def is_configured(settings: Settings) -> bool:
    """Return True if the settings name an account at the provider, so that the provider is offered.

    See `PaymentAdapter.is_configured`.
    """
    return bool(settings.stripe_secret_key)


def is_live(settings: Settings) -> bool | None:
    """Return True if the settings are for real money; None if they do not tell.

    Only a key tells the mode. The webhook's function has no secret key, so there the publishable key tells the mode.
    See `PaymentAdapter.is_live`.
    """
    if settings.stripe_secret_key:
        return is_live_key(settings.stripe_secret_key)
    return settings.stripe_publishable_key.startswith(LIVE) if settings.stripe_publishable_key else None


def event_types() -> tuple[str, ...]:
    """Return the types of the events that our webhook needs; see `PaymentAdapter.event_types`."""
    return EVENT_TYPES


def build_provider(parts: AdapterParts) -> PaymentProvider:
    """Build the port to the provider; see `PaymentAdapter.build_provider`."""
    from shared.platform.stripe.provider import StripeProvider

    return StripeProvider(
        secret_key=parts.settings.stripe_secret_key,
        api_base=parts.settings.stripe_api_base,
        clock=parts.clock,
        alerts=parts.alerts(),
    )


def build_webhooks(parts: AdapterParts) -> Webhooks:
    """Build the verifier of the provider's notices; see `PaymentAdapter.build_webhooks`."""
    from shared.platform.stripe.webhooks import StripeWebhooks

    return StripeWebhooks(parts.settings.stripe_webhook_secret, parts.clock)

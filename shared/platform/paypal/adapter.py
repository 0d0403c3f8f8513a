"""Adapter of PayPal, see `PaymentAdapter`."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.kernel.settings import Settings
from shared.payments.adapters import AdapterParts
from shared.payments.ports import PaymentProvider, Webhooks
from shared.platform.paypal.addresses import is_live_address
from shared.platform.paypal.events import EVENT_TYPES

if TYPE_CHECKING:
    from shared.platform.paypal.vouching import PayPalVouching


def is_configured(settings: Settings) -> bool:
    """Return True if the settings name an account at the provider, so that the provider is offered.

    See `PaymentAdapter.is_configured`.
    """
    return bool(settings.paypal_client_id and settings.paypal_client_secret)


def is_live(settings: Settings) -> bool | None:
    """Return True if the settings are for real money; None if they do not tell.

    See `PaymentAdapter.is_live`.
    """
    return is_live_address(settings.paypal_api_base)


def event_types() -> tuple[str, ...]:
    """Return the types of the events that our webhook needs; see `PaymentAdapter.event_types`."""
    return EVENT_TYPES


def build_provider(parts: AdapterParts) -> PaymentProvider:
    """Build the port to the provider; see `PaymentAdapter.build_provider`."""
    from shared.platform.paypal.provider import PayPalProvider

    return PayPalProvider(
        api_base=parts.settings.paypal_api_base,
        client_id=parts.settings.paypal_client_id,
        client_secret=parts.settings.paypal_client_secret,
        clock=parts.clock,
        alerts=parts.alerts(),
    )


def build_webhooks(parts: AdapterParts) -> Webhooks:
    """Build the verifier of the provider's notices; see `PaymentAdapter.build_webhooks`."""
    from shared.platform.paypal.webhooks import PayPalWebhooks

    vouching = LateVouching(parts)
    return PayPalWebhooks(
        webhook_id=parts.settings.paypal_webhook_id,
        api_base=parts.settings.paypal_api_base,
        roots=parts.settings.paypal_webhook_roots,
        clock=parts.clock,
        documents=parts.documents(),
        alerts=parts.alerts(),
        vouching=(lambda: vouching) if parts.settings.paypal_client_secret else None,
    )


class LateVouching:
    """PayPal's own check of signatures. PayPal's SDK is loaded, and the check built, at the first use."""

    def __init__(self, parts: AdapterParts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._built: PayPalVouching | None = None

    def vouches_for(self, raw: bytes, headers: Mapping[str, str]) -> bool:
        """Return True if PayPal confirms that PayPal signed these bytes; see `PayPalVouching.vouches_for`."""
        with self._lock:
            self._built = self._built or self._build()
        return self._built.vouches_for(raw, headers)

    def _build(self) -> "PayPalVouching":
        from shared.platform.paypal.vouching import PayPalVouching

        settings = self._parts.settings
        return PayPalVouching(
            api_base=settings.paypal_api_base,
            client_id=settings.paypal_client_id,
            client_secret=settings.paypal_client_secret,
            webhook_id=settings.paypal_webhook_id,
            clock=self._parts.clock,
            alerts=self._parts.alerts(),
        )

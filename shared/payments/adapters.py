"""Contract of an adapter module of a payment provider: what the composition root asks of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.kernel.events import Alerts
from shared.kernel.settings import Settings
from shared.payments.ports import PaymentProvider, Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterParts:
    """Parts from which an adapter is built."""

    settings: Settings
    clock: Clock
    documents: Callable[[], Documents]
    alerts: Callable[[], Alerts]


class PaymentAdapter(Protocol):
    """Module `shared.platform.{name}.adapter`. Importing the module loads no SDK."""

    def is_configured(self, settings: Settings) -> bool:
        """Return True if the settings name an account at the provider, so that the provider is offered."""
        ...

    def is_live(self, settings: Settings) -> bool | None:
        """Return True if the settings are for real money; None if they do not tell."""
        ...

    def event_types(self) -> tuple[str, ...]:
        """Return the types of the events that our webhook needs, for its registration at the provider."""
        ...

    def build_provider(self, parts: AdapterParts) -> PaymentProvider:
        """Build the port to the provider. Called only if the provider is configured."""
        ...

    def build_webhooks(self, parts: AdapterParts) -> Webhooks:
        """Build the verifier of the provider's notices."""
        ...

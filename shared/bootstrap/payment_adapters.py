"""Adapters of the payment providers in `PROVIDERS`, each imported at its first use."""

import threading
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import cast

from shared.kernel.settings import Settings
from shared.payments.adapters import AdapterParts, PaymentAdapter
from shared.payments.ports import PaymentProvider, ProviderName, Webhooks
from shared.payments.providers import PROVIDERS


def adapter_of(name: ProviderName) -> PaymentAdapter:
    """Import the adapter of a provider."""
    return cast("PaymentAdapter", import_module(f"shared.platform.{name}.adapter"))


def configured_providers(parts: AdapterParts) -> Mapping[ProviderName, PaymentProvider]:
    """Build the ports to the providers whose keys are set and that are in use, by name."""
    in_use = parts.settings.payment_providers or tuple(PROVIDERS)
    adapters = {name: adapter_of(name) for name in PROVIDERS if name in in_use}
    return {
        name: adapter.build_provider(parts)
        for name, adapter in adapters.items()
        if adapter.is_configured(parts.settings)
    }


def live_modes(settings: Settings) -> Mapping[ProviderName, bool]:
    """Return True or False for real or test money, for each provider whose settings tell."""
    modes = {name: adapter_of(name).is_live(settings) for name in PROVIDERS}
    return {name: is_live for name, is_live in modes.items() if is_live is not None}


class WebhooksOfProviders(Mapping[ProviderName, Webhooks]):
    """Verifiers of notices by provider. Each is built at its first use and then reused. Safe between threads."""

    def __init__(self, parts: AdapterParts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._built: dict[ProviderName, Webhooks] = {}

    def __getitem__(self, name: ProviderName) -> Webhooks:
        with self._lock:
            if name not in self._built:
                self._built[PROVIDERS[name].name] = adapter_of(name).build_webhooks(self._parts)
            return self._built[name]

    def __iter__(self) -> Iterator[ProviderName]:
        return iter(PROVIDERS)

    def __len__(self) -> int:
        return len(PROVIDERS)

"""The payment providers of a laptop: those that the settings name, and stand-ins for the rest."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from emulator.ports import binding
from emulator.stand_ins.stand_in import StandIn
from shared.payments.ports import ProviderName
from shared.payments.providers import PROVIDERS

DELIVERY_ATTEMPTS = 30  # some two minutes: long enough for functions to be loaded again
DELIVERY_BACKOFF_SECONDS = 0.5
LATER_SECONDS = 8.0  # what is to be paid later on a hosted page is paid by then, before one's eyes


@dataclass(slots=True, kw_only=True)
class PaymentProviders:
    """Settings for the functions, addresses of the providers, and the stand-ins.

    Each stand-in stands under the function that hears from the stand-in.
    """

    settings: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    stand_ins: dict[str, StandIn] = field(default_factory=dict)

    def deliver_to(self, functions_url: str) -> None:
        """Let the stand-ins deliver their events to the functions from now on."""
        for function, stand_in in self.stand_ins.items():
            stand_in.target(urls=[f"{functions_url}/{function}"])
            stand_in.retry(attempts=DELIVERY_ATTEMPTS, backoff_seconds=DELIVERY_BACKOFF_SECONDS)


def payment_providers(
    stack: contextlib.ExitStack, settings: Mapping[str, str], ports: Mapping[str, int], home: Path
) -> PaymentProviders:
    """Return the payment providers of a laptop.

    A provider whose address is set is used with the credentials that are set. Stand-ins replace the others, and sign
    webhooks with the secret that is set. The shell's settings come first.
    """
    given = {**settings, **{name: value for name, value in os.environ.items() if value}}
    found = PaymentProviders()
    for name, record in PROVIDERS.items():
        if address := given.get(record.api_base):
            found.addresses[name] = address
            continue
        kind = stand_in_of(name)
        with binding(name, ports[name]):
            started = kind(port=ports[name], later_seconds=LATER_SECONDS, **kind.webhook_of(given))
            stand_in = stack.enter_context(started)
        found.stand_ins[record.webhook] = stand_in
        found.addresses[name] = stand_in.url
        found.settings |= stand_in.settings_for(home)
    return found


def stand_in_of(provider: ProviderName) -> type[StandIn]:
    """Import and return the stand-in of a provider: `STAND_IN` of the package `emulator.stand_ins.{provider}`."""
    found: type[StandIn] = import_module(f"emulator.stand_ins.{provider}").STAND_IN
    return found

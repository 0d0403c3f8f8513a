"""The payment providers of a laptop: those that the settings name, and stand-ins for the rest."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.ports import binding
from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stand_in import StandIn
from emulator.stand_ins.stripe import StripeStandIn

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

    A provider whose address is set is used with the credentials that are set. Stand-ins replace the others.
    """
    found = PaymentProviders()
    if named := _named(settings, "STRIPE_API_BASE"):
        found.addresses["stripe"] = named
    else:
        with binding("stripe", ports["stripe"]):
            stripe = stack.enter_context(StripeStandIn(port=ports["stripe"], later_seconds=LATER_SECONDS))
        _stand_in_for_stripe(found, stripe)
    if named := _named(settings, "PAYPAL_API_BASE"):
        found.addresses["paypal"] = named
    else:
        with binding("paypal", ports["paypal"]):
            paypal = stack.enter_context(PayPalStandIn(port=ports["paypal"], later_seconds=LATER_SECONDS))
        _stand_in_for_paypal(found, paypal, home / "paypal-roots.pem")
    return found


def _named(settings: Mapping[str, str], name: str) -> str:
    return os.environ.get(name) or settings.get(name) or ""


def _stand_in_for_stripe(found: PaymentProviders, stripe: StripeStandIn) -> None:
    found.stand_ins["stripe_webhook"] = stripe
    found.addresses["stripe"] = stripe.url
    found.settings |= {
        "STRIPE_API_BASE": stripe.url,
        "STRIPE_SECRET_KEY": stripe.secret_key,
        "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
    }


def _stand_in_for_paypal(found: PaymentProviders, paypal: PayPalStandIn, roots: Path) -> None:
    roots.write_text(paypal.authorities_pem)
    found.stand_ins["paypal_webhook"] = paypal
    found.addresses["paypal"] = paypal.url
    found.settings |= {
        "PAYPAL_API_BASE": paypal.url,
        "PAYPAL_CLIENT_ID": paypal.client_id,
        "PAYPAL_CLIENT_SECRET": paypal.client_secret,
        "PAYPAL_WEBHOOK_ID": paypal.webhook_id,
        "PAYPAL_WEBHOOK_ROOTS": str(roots),
    }

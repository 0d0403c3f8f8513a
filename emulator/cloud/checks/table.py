"""Tables of all checks: `make doctor` runs AREAS, a deployment begins with BEFORE_DEPLOYMENT."""

from collections.abc import Mapping
from itertools import chain

from emulator.cloud.checks import (
    anchors,
    catalogue,
    cloud,
    database,
    front,
    functions,
    laptop,
    payments,
    people,
    secrets,
    settings,
    wallets,
)
from emulator.cloud.checks.check import Check

AREAS: Mapping[str, tuple[Check, ...]] = {
    "settings": settings.CHECKS,
    "a laptop's defaults": laptop.CHECKS,
    "secrets and signing keys": secrets.CHECKS,
    "the Google project": cloud.CHECKS,
    "database and bucket": database.CHECKS,
    "anchors of the log": anchors.CHECKS,
    "functions and schedules": functions.CHECKS,
    "payments and webhooks": payments.CHECKS,
    "crypto payments": wallets.CHECKS,
    "sign-in, e-mails, people": people.CHECKS,
    "models, prices, packages": catalogue.CHECKS,
    "the way to the API": front.CHECKS,
}
"""Checks by the area that they look at."""
CHECKS: tuple[Check, ...] = tuple(chain.from_iterable(AREAS.values()))

MADE_BY_DEPLOYMENT = frozenset({"settings_file_missing", "secret_missing", "secret_without_version", "setting_missing"})
"""Mistakes of a project that was never deployed: the deployment makes what is missing."""
NO_REASON_TO_STOP = frozenset(
    {"bonus_for_anyone", "coins_without_value", "laptop_bonus_domain", "origin_of_a_laptop", "payments_cost_nothing"}
)
"""Mistakes with which a project for tests may be deployed on purpose."""
BEFORE_DEPLOYMENT: tuple[Check, ...] = tuple(
    each
    for each in (
        *settings.CHECKS,
        *laptop.CHECKS,
        *secrets.CHECKS,
        *wallets.CHECKS,
        payments.stripe_keys_of_two_modes,
        payments.stripe_organisation_key,
        payments.payment_modes_differ,
        payments.paypal_address_unknown,
        payments.stripe_address_unknown,
    )
    if each.name not in MADE_BY_DEPLOYMENT | NO_REASON_TO_STOP
)
"""Checks of files and secrets, which need nothing deployed."""

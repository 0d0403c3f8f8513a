"""Which function lives where: a lazy name → module table, so that a function imports only what it is."""

import os
from importlib import import_module
from typing import Any

from shared.payments.providers import PROVIDERS

MODULES = {
    "api": "functions.http_api",
    "on_user_created": "functions.user_lifecycle",
    "on_user_deleted": "functions.user_lifecycle",
    "on_ledger_entry": "functions.credit_events",
    "on_entry_updated": "functions.credit_events",
    "on_entry_deleted": "functions.credit_events",
    "generate_image": "functions.agent_execution",
    **{record.webhook: "functions.payment_webhooks" for record in PROVIDERS.values()},
    "on_provider_event": "functions.payment_events",
    "run_agent_step": "functions.agent_execution",
    "every_minute": "functions.schedules",
    "every_day": "functions.schedules",
}

# gunicorn serves one process with THREADS threads; each function gets as many as its `concurrency` in functions.yaml.
THREADS = {
    "api": 80,
    "on_user_created": 8,
    "on_user_deleted": 8,
    "on_ledger_entry": 16,
    "on_entry_updated": 8,
    "on_entry_deleted": 8,
    "generate_image": 8,
    **{record.webhook: 16 for record in PROVIDERS.values()},
    "on_provider_event": 16,
    "run_agent_step": 8,
    "every_minute": 1,
    "every_day": 1,
}

_TARGET = os.environ.get("FUNCTION_TARGET", "")
if _TARGET in THREADS:
    os.environ.setdefault("THREADS", str(THREADS[_TARGET]))
if _TARGET in MODULES and os.environ.get("K_SERVICE") and not os.environ.get("FUNCTIONS_EMULATOR"):
    # A deployed function says at its start which setting or secret is wrong, so that the deployment fails. Otherwise
    # the first event would say so, in a log that nobody reads.
    from shared.bootstrap import services

    services()


def __getattr__(name: str) -> Any:
    """Import the module of the function that is asked for, and no other."""
    if name not in MODULES:
        raise AttributeError(name)
    return getattr(import_module(MODULES[name]), name)

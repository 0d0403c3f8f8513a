"""The whole backend over memory adapters, with the settings that tests of one flow stand on."""

from collections.abc import Mapping
from typing import Any

from shared.bootstrap import Services, in_memory
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents

ENVIRONMENT: Mapping[str, str] = {
    "LEDGER_ID": "test",
    "DEFAULT_MODEL": "cheap",
    "DEFAULT_IMAGE_MODEL": "painter",
    "CREDITS_PER_USD": "100",
    "MARKUP_PERCENT": "0",
    "HOLD_LIFETIME_SECONDS": "900",
    "RATE_LIMIT_PER_MINUTE": "60000",
    "RATE_LIMIT_BURST": "60000",
    "THREADS": "1000",
}
"""No markup, so that a price is the provider's; a rate and a room for waiting callers that no test fills."""


def services_on(documents: Documents, clock: Clock, env: Mapping[str, str] | None = None, **adapters: Any) -> Services:
    """Build an instance on this store and clock. `env` overrides settings, `adapters` replace ports, by name."""
    return in_memory({**ENVIRONMENT, **(env or {})}, clock=clock, documents=documents, **adapters)

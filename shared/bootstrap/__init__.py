"""Composition root: the choice of an adapter for each port, and the construction of every part.

A part is built, and its modules imported, at its first use. So a function that never talks to a model never loads the
model's SDK. All other code receives its parts in constructors. One file per domain builds the parts of that domain;
`Services` holds all parts.
"""

import os
import threading
from collections.abc import Mapping

from shared.bootstrap.everything import Services
from shared.bootstrap.parts import part
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.settings import Settings, parse_settings

__all__ = ["MEMORY_ENVIRONMENT", "Services", "in_memory", "part", "production", "services"]

MEMORY_ENVIRONMENT = {
    "GCLOUD_PROJECT": "demo-memory",
    "LEDGER_SIGNING_KEY": "memory-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "FIRESTORE_EMULATOR_HOST": "nowhere.invalid:1",
}
"""Default environment of `in_memory`: a laptop's defaults, and a signing key that is public."""


def production(settings: Settings, **parts: object) -> Services:
    """Build the services on Firebase and Google Cloud, or on their emulators. `parts` replace parts by name."""
    from shared.bootstrap.cloud import Cloud

    clock = SystemClock()
    return Services(settings, clock, Cloud(settings, clock), **parts)


def in_memory(env: Mapping[str, str] | None = None, *, clock: Clock | None = None, **parts: object) -> Services:
    """Build the same services over memory adapters. `env` overrides settings by name, `parts` replace parts by name."""
    from shared.bootstrap.memory import MemoryAdapters

    moving = clock or SystemClock()
    settings = parse_settings({**MEMORY_ENVIRONMENT, **(env or {})})
    return Services(settings, moving, MemoryAdapters(settings, moving), **parts)


_process_lock = threading.Lock()
_process: Services | None = None


def services() -> Services:
    """Return the services of this process, built once from its environment. Raises SettingsError naming all errors."""
    global _process  # noqa: PLW0603  # one process, one set of clients: that is what this remembers
    with _process_lock:
        if _process is None:
            _process = production(parse_settings(os.environ))
        return _process

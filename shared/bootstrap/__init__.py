"""Composition root: the choice of an adapter for each port, and the construction of every part.

A part is built, and its modules imported, at its first use. So a function that never talks to a model never loads the
model's SDK. All other code receives its parts in constructors. One file per flow builds the parts of that flow;
`Services` has one group of parts for each flow.
"""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from shared.bootstrap.parts import part
from shared.bootstrap.schemas import archived, versioned
from shared.bootstrap.secrets import needed_secrets
from shared.bootstrap.services import Services
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.settings import Settings, parse_settings

__all__ = ["MEMORY_ENVIRONMENT", "Services", "in_memory", "part", "production", "services"]

MEMORY_ENVIRONMENT = {
    "GCLOUD_PROJECT": "demo-memory",
    "LEDGER_SIGNING_KEY": "memory-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "LEDGER_LOG_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "LEDGER_ANCHOR_BUCKET": "demo-memory-anchors",
    "FIRESTORE_EMULATOR_HOST": "nowhere.invalid:1",
    "EVM_XPUB": (
        "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrgjtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt"
    ),
    "BITCOIN_KEY": (
        "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
    ),
}
"""Default environment of `in_memory`: a laptop's defaults, a signing key that is public, and keys of a wallet whose
seed phrase everybody knows."""


def production(settings: Settings, **adapters: Any) -> Services:
    """Build the services on Firebase and Google Cloud, or on their emulators. `adapters` replace ports by name."""
    from shared.bootstrap.cloud import cloud

    clock, given = SystemClock(), _given(adapters)
    return Services(settings, clock, replace(cloud(settings, clock, given.get("alerts")), **given))


def in_memory(env: Mapping[str, str] | None = None, *, clock: Clock | None = None, **adapters: Any) -> Services:
    """Build the same services over memory adapters. `env` overrides settings, `adapters` replace ports, by name."""
    from shared.bootstrap.memory import memory

    moving = clock or SystemClock()
    settings = parse_settings({**MEMORY_ENVIRONMENT, **(env or {})})
    ports = replace(memory(settings, moving), **_given(adapters))
    documents = archived(ports.documents(), ports.objects, settings.ledger_id)
    return Services(settings, moving, replace(ports, documents=partial(_same, documents)))


def require_fitting_keys(settings: Settings) -> None:
    """Raise SettingsError if a wallet's key is for other networks than those in use, or is an example's.

    The networks are imported only if there are any, since a start without them must stay as fast.
    """
    if settings.crypto_networks:
        from shared.payments.chains.wallet_keys import require_wallets

        require_wallets(settings)


def _given(adapters: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return factories of adapters that are built already. Documents gain their schema versions."""
    known = {name: versioned(adapter) if name == "documents" else adapter for name, adapter in adapters.items()}
    return {name: partial(_same, adapter) for name, adapter in known.items()}


def _same(adapter: Any) -> Any:
    return adapter


_process_lock = threading.Lock()
_process: Services | None = None


def services() -> Services:
    """Return the services of this process, built once from its environment. Raises SettingsError naming all errors.

    A deployed function must have all of its own secrets, and needs no secret of another function.
    """
    global _process  # noqa: PLW0603  # one process, one set of clients: that is what this remembers
    with _process_lock:
        if _process is None:
            settings = parse_settings(os.environ, needed_secrets(os.environ))
            require_fitting_keys(settings)
            _process = production(settings)
        return _process

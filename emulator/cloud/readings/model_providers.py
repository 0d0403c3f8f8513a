"""Reader of the model providers: whether our keys are good, and which models and prices a provider lists."""

import json
from collections.abc import Mapping
from decimal import Decimal

import requests

from emulator.cloud.checks.project import Provider
from emulator.cloud.readings.reading import Http
from shared.ai.models.listing import listed_models
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.kernel.settings import Settings

REFUSED = frozenset({401, 403})
OK = 200
BYTES_MAX = 32 * 1024 * 1024


def read_providers(http: Http, settings: Settings) -> Mapping[str, Provider]:
    """Return each provider by the name that models use. A provider without a key is asked without one."""
    places = {DEFAULT_UPSTREAM: (settings.ai_platform_base_url, settings.ai_platform_api_key)}
    places |= {each.name: (each.base_url, each.api_key) for each in settings.ai_upstreams}
    return {name: _provider(http, base, key.strip()) for name, (base, key) in places.items()}


def _provider(http: Http, base: str, key: str) -> Provider:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = http.ask("GET", f"{base}/models", headers=headers)
    except requests.RequestException as error:
        return Provider(problem=f"nothing answered ({type(error).__name__})")
    if answer.status_code in REFUSED and key:
        return Provider(refusal=f"status {answer.status_code}")
    return Provider(listing=_listing(answer.content) if answer.status_code == OK else None)


def _listing(content: bytes) -> tuple[Mapping[str, object], ...] | None:
    """Return the listed models; None if the answer is no whole list."""
    try:
        found = json.loads(content[:BYTES_MAX], parse_float=Decimal)
        if isinstance(found, Mapping) and found.get("has_more"):
            return None
        return tuple(listed_models(found))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None

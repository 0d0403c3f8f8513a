"""Webhook as it is to be registered at a payment provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Address and event types to register, and the secrets with which the provider is asked, by name."""

    url: str
    events: tuple[str, ...]
    keys: Mapping[str, str] = field(repr=False)

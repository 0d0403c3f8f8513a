"""Replacement of adapters and parts of services that are built already."""

from functools import partial
from typing import Any

from shared.bootstrap import Services, part


def replace_adapters(services: Services, **adapters: Any) -> None:
    """Let these services find the adapters given by the names of their ports. Parts built before keep theirs."""
    for name, adapter in adapters.items():
        assert hasattr(services.ports, name), f"there is no port {name}"
        object.__setattr__(services.ports, name, partial(_same, adapter))


def replace_parts(group: object, **parts: Any) -> None:
    """Let a group of services, such as `services.users`, have these parts by name instead of building them."""
    for name, built in parts.items():
        assert isinstance(getattr(type(group), name), part), f"there is no part {name}"
        vars(group)[name] = built


def _same(adapter: Any) -> Any:
    return adapter

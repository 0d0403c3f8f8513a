"""Webhooks: each payment provider in use sends exactly the events that our code handles."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import cast

from emulator.cloud.given_secrets import WHERE, given_secret
from emulator.cloud.project import Change, Project
from emulator.cloud.webhook import Webhook
from shared.bootstrap.payment_adapters import adapter_of
from shared.bootstrap.secrets import used_providers
from shared.payments.providers import ProviderRecord

Look = Callable[[Project, Webhook], Sequence[Change]]
"""Finder of changes at one provider."""


def look(project: Project) -> Sequence[Change]:
    """Return the changes at all providers. Secrets with which a provider is asked come first."""
    return [change for record in _used(project) for change in _changes(project, record, "look")]


def look_at_old(project: Project) -> Sequence[Change]:
    """Return the removals of endpoints that another endpoint has replaced."""
    return [change for record in _used(project) for change in _changes(project, record, "look_at_old")]


def _used(project: Project) -> Sequence[ProviderRecord]:
    return used_providers(project.settings.all())


def _changes(project: Project, record: ProviderRecord, finder: str) -> Sequence[Change]:
    url, keys = webhook_url(project, record), project.secrets.read_all(frozenset(record.secrets))
    if missing := [name for name in record.secrets if name not in keys]:
        return [_asking(project, name, f"register {url} at {record.title}") for name in missing]
    webhook = Webhook(url=url, events=adapter_of(record.name).event_types(), keys=keys)
    module = import_module(f"emulator.cloud.steps.webhooks_{record.name}")
    return cast("Look", getattr(module, finder))(project, webhook)


def webhook_url(project: Project, record: ProviderRecord) -> str:
    """Return the address of a provider's webhook, known before the function is deployed."""
    below = project.settings.get("WEBHOOKS_URL")
    return f"{below.rstrip('/')}/{record.webhook}" if below else project.function_url(record.webhook)


def _asking(project: Project, name: str, then: str) -> Change:
    asked = WHERE.get(name, "a secret")
    return Change(says=f"store {name}, {asked}; then {then}", do=partial(_ask, project, name))


def _ask(project: Project, name: str) -> None:
    project.secrets.add(name, given_secret(project, name))

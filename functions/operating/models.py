"""Commands on models: take one off the offer, offer it again, and show a model's price with all its changes."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from shared.ai.models.catalogue import FIELDS, ModelNotFound, parse_model
from shared.ai.tokens import Usage
from shared.bootstrap import Services
from shared.kernel.clock import rfc3339
from shared.kernel.documents import Data
from shared.kernel.expected import ExpectedVersions, tag_of
from shared.kernel.money import format_credits
from shared.users.audit import AuditRecord

PRICES = tuple(sorted(name for name in FIELDS if name.endswith(("_mtok", "_usd")) or "usd" in name or "tiers" in name))
EXAMPLE = Usage(input_tokens=1_000, output_tokens=1_000)
RECORDS_MAX = 2_000
PAGE = 100


def model_off(asked: argparse.Namespace, services: Services) -> None:
    """Take a model off the offer. Calls of the model that run come to their end."""
    _switch(asked, services, is_enabled=False)


def model_on(asked: argparse.Namespace, services: Services) -> None:
    """Offer a model again."""
    _switch(asked, services, is_enabled=True)


def model_prices(asked: argparse.Namespace, services: Services) -> None:
    """Print a model's prices in dollars and credits, then the changes of its prices, newest first."""
    stored = _stored(asked.model, services)
    for name, value in _prices(stored).items():
        print(f"{name}: {value}")
    settings = services.settings
    print(f"A dollar is {settings.credits_per_usd} credits, and {settings.markup_percent} % are added.")
    if stored.get("kind") == "chat":
        cost = services.models.tariff.price(parse_model(asked.model, stored), EXAMPLE)
        print(f"1,000 tokens in and 1,000 out cost {format_credits(cost)} credits.")
    print("Changes, newest first:")
    for record in _changes(asked.model, services):
        before, after = _prices(record.before or {}), _prices(record.after or {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                change = f"{before.get(name, 'none')} → {after.get(name, 'none')}"
                print(f"  {rfc3339(record.at)}  {name}: {change}, by {record.actor}")


def _switch(asked: argparse.Namespace, services: Services, *, is_enabled: bool) -> None:
    stored = _stored(asked.model, services)
    wanted = {name: value for name, value in stored.items() if name in FIELDS} | {"is_enabled": is_enabled}
    expected = ExpectedVersions(tags=frozenset({tag_of(stored)}), is_any=False)
    act = "model-on" if is_enabled else "model-off"
    with services.users.audit.recording(f"command:{act}", "put_model", asked.model, reason=asked.reason) as done:
        done.before, done.after = services.models.catalogue.put(asked.model, wanted, expected)
    offer = "offered again" if is_enabled else "offered no longer"
    print(f"{asked.model} is {offer}, on all instances within a minute.")


def _stored(model: str, services: Services) -> Data:
    found = services.models.catalogue.read(model)
    if found is None:
        raise ModelNotFound(model)
    return found


def _prices(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in PRICES if fields.get(name) is not None}


def _changes(model: str, services: Services) -> Iterator[AuditRecord]:
    """Yield the finished changes of a model, newest first, out of the last `RECORDS_MAX` acts."""
    cursor = None
    for _ in range(RECORDS_MAX // PAGE):
        page = services.users.audit.page(cursor=cursor, limit=PAGE)
        for record in page.items:
            if (record.act, record.target, record.state) == ("put_model", model, "done"):
                yield record
        if (cursor := page.next_cursor) is None:
            return

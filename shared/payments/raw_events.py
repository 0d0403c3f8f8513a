"""Raw events of providers: the signed bytes, parsed and checked strictly, and the events that a provider lists."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.kernel.events import log
from shared.kernel.ids import is_safe_id
from shared.payments.ports import Notice, ProviderName, WebhookRefused

EVENT_ID_MAX = 100


def event_in(raw: bytes) -> Mapping[str, Any]:
    """Return the JSON object in these bytes. Raises WebhookRefused for anything else."""
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise WebhookRefused("not_an_event")
    return event


def checked(notice: Notice) -> Notice:
    """Return the notice if its id can name a stored document. Raises WebhookRefused."""
    if len(notice.id) > EVENT_ID_MAX or not is_safe_id(notice.id):
        raise WebhookRefused("not_an_event")
    return notice


def readable(
    provider: ProviderName, events: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Notice]
) -> list[Notice]:
    """Return the notices of a listed page. An event that cannot be read is logged and left out: it hides no other."""
    found: list[Notice] = []
    for event in events:
        try:
            found.append(checked(read(event)))
        except (AttributeError, KeyError, TypeError, ValueError, WebhookRefused) as error:
            log("provider_event_unreadable", "ERROR", provider=provider, kind=type(error).__name__)
    return found


def lower_case(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}

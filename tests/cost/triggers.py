"""Triggers as functions.yaml declares them: the events that a commit or a message starts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from functions.edge import DocumentEvent, TopicEvent
from shared.kernel.clock import Millis
from shared.kernel.documents import Document, Write
from shared.kernel.events import TopicMessage

MANIFEST = Path(__file__).parents[2] / "functions.yaml"
Change = Literal["created", "updated", "deleted", "written"]
Event = DocumentEvent | TopicEvent


@dataclass(frozen=True, slots=True)
class DocumentTrigger:
    """Function that starts at a change of documents whose path fits `pattern`."""

    function: str
    pattern: tuple[str, ...]
    change: Change

    def params(self, path: str) -> dict[str, str] | None:
        """Return the values of the pattern's names, None for another path."""
        parts = path.split("/")
        if len(parts) != len(self.pattern):
            return None
        pairs = list(zip(self.pattern, parts, strict=True))
        if any(name != part for name, part in pairs if not name.startswith("{")):
            return None
        return {name[1:-1]: part for name, part in pairs if name.startswith("{")}

    def is_started_by(self, before: Document | None, after: Document | None) -> bool:
        """Return True if the function starts at this change. A write that changes nothing starts none."""
        if (before and before.version) == (after and after.version):
            return False
        change = "created" if before is None else "deleted" if after is None else "updated"
        return self.change in {change, "written"}


@cache
def document_triggers() -> Sequence[DocumentTrigger]:
    """Return the triggers of documents, in the order of the manifest."""
    return tuple(_document_triggers())


@cache
def topic_functions() -> dict[str, str]:
    """Return the function that each topic starts. A topic without a function is for subscribers outside."""
    events = _events()
    return {event["eventFilters"]["topic"]: name for name, event in events if "topic" in event["eventFilters"]}


def watched(writes: Sequence[Write]) -> list[str]:
    """Return the written paths that can start a function."""
    return [write.path for write in writes if any(each.params(write.path) for each in document_triggers())]


def document_events(
    path: str, before: Document | None, after: Document | None, at: Millis
) -> Iterator[tuple[str, DocumentEvent]]:
    """Yield the functions that a change of a document starts, each with its event."""
    for trigger in document_triggers():
        params = trigger.params(path)
        if params is not None and trigger.is_started_by(before, after):
            yield trigger.function, _event_of(path, params, before, after, at)


def _event_of(
    path: str, params: dict[str, str], before: Document | None, after: Document | None, at: Millis
) -> DocumentEvent:
    old, new = (None if each is None else each.data for each in (before, after))
    version = None if after is None else after.version
    return DocumentEvent(path=path, params=params, before=old, after=new, at=at, version=version)


def topic_event(message: TopicMessage, number: int, at: Millis) -> TopicEvent:
    """Return the event of a published message."""
    return TopicEvent(id=str(number), data=message.data, ordering_key=message.ordering_key, at=at)


def _document_triggers() -> Iterator[DocumentTrigger]:
    for name, event in _events():
        pattern = event.get("eventFilterPathPatterns", {}).get("document")
        if pattern is not None:
            yield DocumentTrigger(name, tuple(pattern.split("/")), event["eventType"].rpartition(".")[2])


def _events() -> list[tuple[str, dict[str, Any]]]:
    endpoints = yaml.safe_load(MANIFEST.read_text())["endpoints"]
    return [(name, each["eventTrigger"]) for name, each in endpoints.items() if "eventTrigger" in each]

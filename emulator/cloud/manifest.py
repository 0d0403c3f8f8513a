"""Facts of functions.yaml that a deploy needs: the functions, their topics and params, and the required APIs."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


class Manifest:
    """The file functions.yaml of one source tree."""

    def __init__(self, root: Path) -> None:
        read = _parsed((root / "functions.yaml").read_text())
        self.endpoints: Mapping[str, Mapping[str, Any]] = read["endpoints"]
        self.params: frozenset[str] = frozenset(str(each["name"]) for each in read.get("params") or ())
        self.apis: tuple[str, ...] = tuple(str(each["api"]) for each in read.get("requiredAPIs") or ())

    def trigger_topics(self) -> frozenset[str]:
        """Return the topics whose messages start a function."""
        triggers = [each.get("eventTrigger", {}) for each in self.endpoints.values()]
        return frozenset(str(topic) for each in triggers if (topic := each.get("eventFilters", {}).get("topic")))

"""Reads firestore.rules: the paths that clients may read, as the rules themselves say."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.support.live import collection_of

RULES = (Path(__file__).resolve().parents[2] / "firestore.rules").read_text(encoding="utf-8")
DATABASE = "databases/{database}/documents"
READS = frozenset({"read", "get", "list"})
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
TOKEN = re.compile(
    r"\bmatch\s+/(?P<path>(?:[^\s{}]|\{[^{}]*\})+)\s*\{"
    r"|\ballow\s+(?P<operations>[\w\s,]+?)\s*(?::\s*if\s+(?P<condition>[^;]*?)\s*)?;"
    r"|(?P<open>\{)|(?P<close>\})"
)


def readable_paths(rules: str) -> set[str]:
    """Return the paths that some client may read, such as `agent_tasks/{id}/steps/{step}`."""
    return {path for path, operations, condition in _allowed(rules) if condition != "false" and operations & READS}


def collections_in(paths: Iterable[str]) -> set[str]:
    """Return the collections of paths of the rules: `agent_tasks/*/steps` for `agent_tasks/{id}/steps/{step}`.

    A path with `{name=**}` stands for many collections, so the path itself is returned.
    """
    return {path if "=**" in path else collection_of(path) for path in paths}


def _allowed(rules: str) -> Iterator[tuple[str, frozenset[str], str | None]]:
    """Yield the path, operations and condition of every `allow`. The condition is None for an `allow` without one."""
    blocks: list[str] = []
    for token in TOKEN.finditer(COMMENT.sub("", rules)):
        if token["operations"]:
            operations = frozenset(re.findall(r"\w+", token["operations"]))
            yield _joined(blocks), operations, token["condition"]
        elif token["close"]:
            blocks.pop()
        else:
            blocks.append(token["path"] or "")


def _joined(blocks: list[str]) -> str:
    return "/".join(name for name in blocks if name and name != DATABASE)

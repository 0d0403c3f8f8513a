"""Cloud Logging in small: the entry that a JSON line on standard output becomes, and filters over entries.

https://cloud.google.com/logging/docs/structured-logging#special-payload-fields
https://cloud.google.com/logging/docs/view/logging-query-language
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, Any]
SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
MOVED = {
    "severity": "severity",
    "httpRequest": "httpRequest",
    "time": "timestamp",
    "logging.googleapis.com/labels": "labels",
    "logging.googleapis.com/trace": "trace",
    "logging.googleapis.com/spanId": "spanId",
    "logging.googleapis.com/trace_sampled": "traceSampled",
    "logging.googleapis.com/insertId": "insertId",
}
"""Fields of a line that Cloud Logging moves out of the payload."""
TOKEN = re.compile(r"\s*(\(|\)|\"(?:[^\"\\]|\\.)*\"|>=|<=|!=|=~|!~|=|:|>|<|[\w./@-]+|\*|,)")


def entry_of(line: str, service: str = "api") -> Entry:
    """Return the log entry that Cloud Run makes of one line on standard output."""
    told = json.loads(line)
    moved = {place: told[name] for name, place in MOVED.items() if name in told}
    payload = {name: value for name, value in told.items() if name not in MOVED}
    resource = {"type": "cloud_run_revision", "labels": {"service_name": service}}
    return {"severity": "DEFAULT", **moved, "jsonPayload": payload, "resource": resource}


def is_matching(query: str, entry: Entry) -> bool:
    """Return True if the entry matches the filter. Raises ValueError for a filter that this reader does not know."""
    found = Reader(tokens_of(query))
    test = found.all_of()
    if found.tokens:
        raise ValueError(f"{found.tokens[0]!r} is not expected in {query!r}")
    return test(entry)


def tokens_of(query: str) -> list[str]:
    tokens, at = [], 0
    while query[at:].strip():
        if (found := TOKEN.match(query, at)) is None:
            raise ValueError(f"cannot read {query[at:]!r}")
        tokens.append(found[1])
        at = found.end()
    return tokens


Test = Callable[[Entry], bool]


@dataclass(slots=True)
class Reader:
    """Reader of `a="b" AND (c>=1 OR NOT d:"e")`. OR binds closer than AND; tests side by side are joined by AND."""

    tokens: list[str]

    def all_of(self) -> Test:
        tests = [self.any_of()]
        while self.tokens and self.tokens[0] != ")":
            if self.tokens[0] == "AND":
                self.tokens.pop(0)
            tests.append(self.any_of())
        return lambda entry: all(test(entry) for test in tests)

    def any_of(self) -> Test:
        tests = [self.one()]
        while self.tokens and self.tokens[0] == "OR":
            self.tokens.pop(0)
            tests.append(self.one())
        return lambda entry: any(test(entry) for test in tests)

    def one(self) -> Test:
        token = self.tokens.pop(0)
        if token == "NOT":
            inner = self.one()
            return lambda entry: not inner(entry)
        if token == "(":
            inside = self.all_of()
            if not self.tokens or self.tokens.pop(0) != ")":
                raise ValueError("a bracket is not closed")
            return inside
        return self.comparison(token)

    def comparison(self, name: str) -> Test:
        operator = self.tokens.pop(0)
        if self.tokens[0] == "one_of":  # of Cloud Monitoring's filters
            self.tokens.pop(0)
        if self.tokens[0] == "(":
            words = self.words()
            return lambda entry: any(is_true(value_at(entry, name), operator, word) for word in words)
        word = unquoted(self.tokens.pop(0))
        return lambda entry: is_true(value_at(entry, name), operator, word)

    def words(self) -> list[str]:
        """`("a" OR "b")`, as behind `jsonPayload.event=`."""
        self.tokens.pop(0)
        words = []
        while (token := self.tokens.pop(0)) != ")":
            if token not in {"OR", ","}:
                words.append(unquoted(token))
        return words


def unquoted(token: str) -> str:
    return str(json.loads(token)) if token.startswith('"') else token


def value_at(entry: Entry, name: str) -> Any:
    found: Any = entry
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def is_true(value: Any, operator: str, word: str) -> bool:
    if value is None:
        return operator in {"!=", "!~"}
    if operator == "=":
        return told(value) == word
    if operator == "!=":
        return told(value) != word
    if operator == ":":
        return word == "*" or word.lower() in told(value).lower()
    if operator == "=~":
        return re.search(word, told(value)) is not None
    if operator in {">=", ">", "<", "<="}:
        left, right = ranked(value), ranked(word)
        return {">=": left >= right, ">": left > right, "<": left < right, "<=": left <= right}[operator]
    raise ValueError(f"unknown operator {operator}")


def told(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def ranked(value: Any) -> float:
    return SEVERITIES.index(value) if value in SEVERITIES else float(value)

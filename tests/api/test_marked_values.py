"""Marked values sent through every route are found in no metric, log line or alert."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from emulator.seed import OPERATOR, USER
from shared.kernel.clock import MINUTE
from shared.kernel.documents import Query
from shared.kernel.measured import METERS
from shared.platform.memory.alerts import MemoryAlerts
from tests.api.test_documents import FOR_OPERATORS, OPERATIONS, bodies_of, fresh_laptop, person_of
from tests.api.world import World

MARKS = {
    "prompt": "Zanzibar kumquat, please keep this between us",
    "address": "zelda.quokka@mail.private-zebra.com",
    "key": "ics_ZQuokkaKeyZQuokkaKeyZQuokkaKeyZQuokkaKey12",
    "secret": "sk_live_ZebraSecretZebraSecret1234",
}
TOLD = ("zanzibar", "kumquat", "zelda", "quokka", "zebra")
"""Words that stand in the marks and nowhere else, in lower case."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of each text in a JSON value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, name))


def marked(value: Any, place: tuple[Any, ...], mark: str) -> Any:
    """Return the JSON value with a mark at this place."""
    if not place:
        return mark
    copied = deepcopy(value)
    inner = copied
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = mark
    return copied


def path_of(name: str, mark: str | None) -> str:
    """Return the path with examples, or with marks, in the place of its names."""
    _, path, operation = OPERATIONS[name]
    for each in operation["parameters"]:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", quote(str(each["example"] if mark is None else mark), safe=""))
    return path


def bodies(name: str, mark: str) -> Iterator[Any]:
    """Yield the examples of a body, each with the mark in the place of one text."""
    for body in bodies_of(name).values():
        yield body
        if body is not None:
            yield from (marked(body, place, mark) for place in leaves(body))


def send_marks(world: World, name: str, mark: str) -> None:
    """Call the route with the mark in the path, the query, the headers and each text of the body."""
    method, _, operation = OPERATIONS[name]
    headers = dict.fromkeys(("Idempotency-Key", "X-Reason", "User-Agent", "Referer", "If-Match"), mark)
    query = {each["name"]: mark for each in operation["parameters"] if each["in"] == "query"}
    person = person_of(world, OPERATOR if name in FOR_OPERATORS else USER)
    first = next(iter(bodies_of(name).values()))
    world.clock.advance(MINUTE)  # so that no limit of refused sign-ins is met
    for told in (f"{path_of(name, mark)}?{urlencode(query)}", f"{path_of(name, None)}?{urlencode(query)}"):
        person.call(method, told, body=first, headers=headers, buffered=True)
        world.call(method, told, body=first, headers={"Authorization": f"Bearer {mark}"}, buffered=True)
    for body in bodies(name, mark):
        person.call(method, path_of(name, None), body=body, buffered=True)


def order(name: str) -> tuple[int, bool]:
    """Return the place of an operation: reads first, and last of all the user's leaving."""
    method, path, _ = OPERATIONS[name]
    return METHODS.index(method), path == "/me"


def found_in(text: str) -> list[str]:
    """Return the first lines with a mark."""
    lines = [line for line in text.splitlines() if any(word in line.lower() for word in TOLD)]
    return lines[:5]


@pytest.mark.parametrize("kind", MARKS)
def test_no_mark_is_told_to_operators_at_large(kind, capsys):
    world = fresh_laptop()
    for meter in METERS:
        meter.clear()
    capsys.readouterr()
    for name in sorted(OPERATIONS, key=order):
        send_marks(world, name, MARKS[kind])
    world.services.jobs.run_schedule("every_minute")

    told = "".join(capsys.readouterr())
    alerts = world.services.ports.alerts()
    assert isinstance(alerts, MemoryAlerts)
    stored = world.services.ports.documents().query(Query(collection="alerts", limit=500))
    metrics = person_of(world, OPERATOR).get("/monitoring/metrics").text

    assert told.count("request_done") > 3 * len(OPERATIONS)
    assert found_in(told) == []
    assert found_in(metrics) == []
    assert found_in("\n".join(str(each) for each in alerts.raised)) == []
    assert found_in("\n".join(json.dumps(each.data, default=str) for each in stored)) == []


def test_a_mark_in_a_log_line_would_be_found():
    assert found_in('{"event": "a", "to": "Zelda.Quokka@mail"}') != []

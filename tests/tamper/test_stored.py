"""Each kind of edit of stored documents is found and located, at random places, by the parts that its row names.

`make tamper` tries 1,000 places of each kind. The rows of the log leave nothing wrong inside the database.
"""

import os
from random import Random

import pytest

from tests.support import books as ask
from tests.tamper.scenes import ADA, Found, Scene, honest
from tests.tamper.stored import LOG, ROWS, WITHIN, Part, Row

PLACES = 1_000 if os.environ.get("TAMPER") == "long" else 20
PROBES = (ask.charge(1, operation="next"), ask.charge(1, operation="after"))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return honest()


def finder(part: Part, seq: int) -> Found:
    """Return the part that looks at a scene. A trigger is told of the entry `seq`."""
    return {
        "operation": lambda scene: scene.operation(*PROBES),
        "trigger": lambda scene: scene.triggered(seq),
        "relay": Scene.published,
        "audit": Scene.audit,
        "lost_accounts": Scene.lost,
        "verifier": Scene.verified,
        "log": Scene.verified,
    }[part]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_edit_is_found_and_located_at_each_place(scene: Scene, row: Row) -> None:
    for place in range(PLACES):
        part = row.parts[place % len(row.parts)]
        edited = scene.copy()
        expected = row.edit(edited, Random(f"{row.name}{place}"))

        found = finder(part, max((seq for seq, rule in expected if rule == "entry_changed"), default=0))(edited)

        assert expected & set(found), (row.name, place, part, WITHIN[part], found, sorted(expected)[:9])


@pytest.mark.parametrize("row", LOG, ids=lambda row: row.name)
def test_edit_leaves_nothing_wrong_inside_the_database(scene: Scene, row: Row) -> None:
    """These rows are the reason for the log: only tree heads that were published outside tell of them."""
    edited = scene.copy()

    row.edit(edited, Random(row.name))

    assert edited.verified() in ([], [(0, "format")])


def test_table_has_fifty_kinds_and_more() -> None:
    assert len({row.name for row in (*ROWS, *LOG)}) == len(ROWS) + len(LOG) >= 75


def test_honest_scene_has_no_finding(scene: Scene) -> None:
    edited = scene.copy()

    assert (edited.audit(), edited.operation(*PROBES), edited.verified()) == ([], [], [])
    assert edited.alerts.raised == []
    assert ADA in {path.split("/")[1] for path in edited.documents._documents}

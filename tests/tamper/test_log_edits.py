"""Each edit of the log, or of an account behind the log's back, is found by the component, in time, at the place."""

import os
import random
from typing import Any

import pytest

from shared.kernel.clock import DAY, MINUTE
from shared.ledger.log.head import LogBroken, tile_path
from shared.ledger.log.merkle import inclusion_proof, root_of_inclusion
from shared.ledger.log.tile_reader import TileReader, read_head
from shared.ledger.log.tiles import TILE_WIDTH, hashes_of
from tests.support.sequencing import users
from tests.tamper.log_edits import EDITS, UIDS, LogEdit, Victims, victims

PLACES = 1_000 if os.environ.get("TAMPER") == "long" else 20
WORLDS = 3
"""Different worlds. Each place is another one of one of them."""
OTHERS = users(3, "zz")


@pytest.mark.parametrize("name", EDITS)
def test_edit_is_found_at_each_random_place(name):
    edit = EDITS[name]
    for place in range(PLACES):
        chosen = random.Random(f"{name}/{place}")
        made = victims(place % WORLDS).copy()
        found = edit.harm(made, chosen)

        if edit.finder == "proof":
            assert is_found_by_a_proof(made), place
        elif found is None:
            assert is_the_log_stopped(made), place
        else:
            assert_found(made, edit, found)


def assert_found(made: Victims, edit: LogEdit, found) -> None:
    """The account is parked at the entry, and the others are logged."""
    world, (uid, seq) = made.world, found
    world.mill.grow(OTHERS, 2)
    if edit.finder == "sequencer" and made.world.store.get(f"accounts/{uid}") == made.past[-1].get(f"accounts/{uid}"):
        world.mill.grow([uid], 1)
    world.clock.advance(MINUTE if edit.finder == "sequencer" else DAY)
    size = world.sequencer().append([]).size
    world.minute()

    (alert,) = set(world.alerted())
    assert alert[0] == uid
    assert alert[2] == edit.rule or edit.rule == "*"
    assert alert[1] == seq or seq == 0
    assert world.sequencer().append([]).size >= size + 6


def is_the_log_stopped(made: Victims) -> bool:
    """Operators are alerted with the next entries of each account, and nothing is appended."""
    world = made.world
    world.mill.grow(UIDS, 1)
    before = world.store.get("ledger_log/head")
    world.clock.advance(MINUTE)
    world.minute()
    is_told = "log_broken" in {each.event for each in world.alerts.raised}
    return is_told and world.store.get("ledger_log/head") == before


def is_found_by_a_proof(made: Victims) -> bool:
    """The proof of the first or of the last leaf of the tile does not give the committed root."""
    head = read_head(made.world.store)
    assert head is not None
    assert head.size > TILE_WIDTH
    tile: Any = made.past[-1][tile_path(0, 0)].data["hashes"]
    leaves = hashes_of(tile)
    try:
        roots = {
            root_of_inclusion(
                leaves[index],
                index,
                head.size,
                inclusion_proof(index, head.size, TileReader(made.world.store, head).hash_at),
            )
            for index in (0, TILE_WIDTH - 1)
        }
    except LogBroken:
        return True
    return roots != {head.root}


def test_matrix_has_a_row_for_each_document_of_the_log():
    assert {name.partition(":")[0] for name in EDITS} == {"head", "tile", "position", "account", "new entry"}

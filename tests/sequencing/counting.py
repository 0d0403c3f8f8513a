"""Documents written for each thousand entries, over a long time, in memory."""

from collections.abc import Iterator

from shared.kernel.clock import MINUTE
from shared.ledger.log.tile_reader import read_head
from tests.support.sequencing import LogWorld, check_log, users

SHAPES = {2: (250, 510), 20: (50, 60)}
"""Accounts, and most writes for a thousand entries, by the entries of a visit."""


def written(per_visit: int, thousands: int) -> Iterator[int]:
    """Yield the documents written for each thousand entries. Assert that the log is whole in the end."""
    accounts, _ = SHAPES[per_visit]
    world = LogWorld()
    for _ in range(2):
        world.minute()
    for number in range(thousands):
        before = world.documents.writes
        while _size(world) < (number + 1) * 1_000:
            world.mill.grow(users(accounts), per_visit)
            world.minute()
            world.clock.advance(MINUTE)
        yield world.documents.writes - before
    assert check_log(world.store) == thousands * 1_000


def _size(world: LogWorld) -> int:
    head = read_head(world.store)
    return 0 if head is None else head.size

"""`make books`: a year of many accounts under lost and repeated commits, compared with a naive fold of all journals."""

import random
import sys
from contextlib import redirect_stdout, suppress
from io import StringIO

from shared.kernel.clock import DAY
from shared.kernel.documents import OutcomeUnknown, PreconditionFailed
from shared.kernel.ids import Uid
from shared.ledger.log.figure_count import FigureCount
from tests.support.faults import Crash, FaultyDocuments
from tests.support.figures import Platform, check_figures, lived

FAULTS = (Crash(), OutcomeUnknown("lost"), PreconditionFailed())
VISITED = 60
"""Accounts that live on between two rounds."""
CHECK_EVERY = 20
YEAR = 365


def year(accounts: int, seed: int) -> int:
    """Let the accounts live a year. Return the number of entries. Raises AssertionError for figures that differ."""
    dice = random.Random(seed)
    journals = {Uid(f"user{number}"): lived(number, dice.randrange(YEAR) * DAY) for number in range(1, accounts + 1)}
    platform, rounds = Platform(journals=journals), 0
    while left := [uid for uid, bodies in platform.lived.items() if len(bodies) < len(journals[uid])]:
        rounds += 1
        for uid in dice.sample(left, min(VISITED, len(left))):
            platform.live(uid, dice.randrange(1, 60))
        _rounds(platform, dice)
        if rounds % CHECK_EVERY == 0:
            while platform.waiting:
                platform.round()
            check_figures(platform)
        if dice.random() < 1 / CHECK_EVERY:
            FigureCount(platform.store).begin_again()
            platform.count_all()
    while platform.waiting:
        platform.round()
    platform.count_all()
    check_figures(platform)
    return sum(map(len, platform.lived.values()))


def _rounds(platform: Platform, dice: random.Random) -> None:
    """Let two sequencers append, of which one has a commit that fails in some way."""
    fault, when = dice.choice(FAULTS), dice.choice(("before", "after"))
    with suppress(Crash):
        platform.round(FaultyDocuments(platform.store, at=1, when=when, error=fault))  # type: ignore[arg-type]
    if dice.random() < 1 / 2:
        platform.round()


def main(arguments: list[str]) -> int:
    """Play a year: the number of accounts, and the seed."""
    numbers = [int(each) for each in arguments]
    accounts, seed = (*numbers, *(1_000, 1)[len(numbers) :])
    with redirect_stdout(StringIO()):
        entries = year(accounts, seed)
    told = f"{accounts} accounts with {entries} entries, seed {seed}: all figures equal the fold of the journals."
    sys.stdout.write(f"{told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

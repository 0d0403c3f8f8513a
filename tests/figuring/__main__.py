"""`make books`: a year of many accounts under lost and repeated commits, compared with a naive fold of all journals."""

import random
import sys
from bisect import bisect_left
from contextlib import redirect_stdout, suppress
from io import StringIO

from shared.kernel.clock import DAY
from shared.kernel.documents import OutcomeUnknown, PreconditionFailed
from shared.kernel.ids import Uid
from shared.ledger.log.figure_count import FigureCount
from tests.support.faults import Crash, FaultyDocuments
from tests.support.figures import Platform, check_balances, check_figures, lived

FAULTS = (Crash(), OutcomeUnknown("lost"), PreconditionFailed())
CHECK_EVERY = 20
DAYS_BETWEEN = 10
"""Days between two days whose balances are compared."""
YEAR, MONTH = 365, 40


def year(accounts: int, seed: int) -> int:
    """Let the accounts live a year. Return the number of entries. Raises AssertionError for figures that differ."""
    dice = random.Random(seed)
    journals = {Uid(f"user{number}"): lived(number, dice.randrange(YEAR) * DAY) for number in range(1, accounts + 1)}
    times = {uid: [body["at"] for body in bodies] for uid, bodies in journals.items()}
    platform, start = Platform(journals=journals), min(each[0] for each in times.values())
    for number in range(YEAR + MONTH):
        until = start + number * DAY
        for uid in journals:
            platform.live(uid, bisect_left(times[uid], until) - len(platform.lived[uid]))
        _rounds(platform, dice)
        if dice.random() < 1 / CHECK_EVERY:
            check_whole(platform)
            FigureCount(platform.store, platform).begin_again()
    assert all(len(platform.lived[uid]) == len(bodies) for uid, bodies in journals.items())
    check_whole(platform)
    return sum(map(len, journals.values()))


def check_whole(platform: Platform) -> None:
    """Count everything, and compare."""
    while platform.waiting:
        platform.round()
    platform.count_all()
    before = platform.figures()
    check_figures(platform)
    check_balances(platform, sorted(before)[::DAYS_BETWEEN])
    FigureCount(platform.store, platform).begin_again()
    platform.count_all()
    assert platform.figures() == before, "a rebuild gives the same days"


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

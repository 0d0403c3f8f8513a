"""`python -m tests.mutation [MODULE …]`: mutate the ledger, tell who survives, fail if one is not explained.

Explained are those that `docs/mutation.md` names; a share of them may be there, `SHARE_MIN` must be killed. With
`AGAIN=1` only those that it names are tried, to see who needs no explanation any more.
"""

import os
import sys
from collections.abc import Callable, Sequence

import pytest
from hypothesis import settings

from tests.mutation.killing import Fate, Killing, modules, survivors, tally
from tests.mutation.mutants import ROOT, mutants_of

TESTS = (
    "tests/unit/ledger",
    "tests/properties/test_decide.py",
    "tests/properties/test_usage.py",
    "tests/unit/sagas/test_relay.py",
    "tests/unit/sagas/test_relay_sweep.py",
    "tests/unit/sagas/test_ledger_watch.py",
    "tests/unit/test_commands.py",
    "tests/api/test_analytics.py",
    "tests/simulation/test_seeds.py",
)
EXPLAINED = ROOT / "docs" / "mutation.md"
SHARE_MIN = 0.85


def main() -> int:
    """0 if enough are killed and the rest is explained."""
    settings.register_profile("mutation", deadline=None, derandomize=True, database=None, print_blob=False)
    names = [f"shared.ledger.{name}" for name in sys.argv[1:]] or modules()
    known = EXPLAINED.read_text() if "AGAIN" in os.environ else None
    found = (mutant for name in names for mutant in mutants_of(name))
    mutants = [mutant for mutant in found if known is None or mutant.name in known]
    killing = Killing(mutants, jobs=int(os.environ.get("JOBS", "1")), tell=_progress(len(mutants)))
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutation", "-W", "ignore"]
    pytest.main([*options, *TESTS], plugins=[killing])
    if killing.broken or len(killing.fates) < len(mutants):
        sys.stdout.write(f"\nWithout any mutant these fail: {', '.join(killing.broken)}\n")
        return 1
    return _judged(killing.fates)


def _progress(count: int) -> Callable[[Fate, int], None]:
    """Told past pytest, which keeps what its tests say for itself."""
    screen = os.fdopen(os.dup(1), "w")

    def tell(fate: Fate, number: int) -> None:
        screen.write(f"\r{number} of {count}: {fate.end:10}")
        if fate.end in {"survived", "unseen"}:
            screen.write(f"line {fate.mutant.line} {fate.mutant.name}\n")
        screen.flush()

    return tell


def _judged(fates: Sequence[Fate]) -> int:
    known = EXPLAINED.read_text() if EXPLAINED.exists() else ""
    left = list(survivors(fates))
    strangers = [fate for fate in left if fate.mutant.name not in known]
    share = 1 - len(left) / len(fates)
    sys.stdout.write("\n\n| Module | Killed | Mutants | |\n| --- | --- | --- | --- |\n")
    for module, (killed, count) in tally(fates).items():
        sys.stdout.write(f"| `{module.rpartition('.')[2]}` | {killed} | {count} | {killed / count:.0%} |\n")
    sys.stdout.write(f"| all | {len(fates) - len(left)} | {len(fates)} | {share:.1%} |\n\n")
    for fate in strangers:
        sys.stdout.write(f"not explained, {fate.end}: {fate.mutant.name}\n")
    return 0 if (share >= SHARE_MIN or "AGAIN" in os.environ) and not strangers else 1


if __name__ == "__main__":
    sys.exit(main())

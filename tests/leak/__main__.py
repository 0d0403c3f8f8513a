"""The long form, `python -m tests.leak SEED CALLERS`: hostile callers, and tables of where losses came from."""

import contextlib
import io
import sys
import time

from tests.leak.hostile_callers import rush
from tests.leak.report import Leak
from tests.support.billed_callers import Profile

PROFILES: tuple[Profile, ...] = ("laptop", "openai")


def main() -> int:
    """Play and tell; 1 if the platform loses more than it may."""
    seed, callers = (int(argument) for argument in sys.argv[1:3])
    leaks = [_played(seed, callers, profile) for profile in PROFILES]
    return 0 if all(leak.is_tight for leak in leaks) else 1


def _played(seed: int, callers: int, profile: Profile) -> Leak:
    began = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        leak = Leak(rush(seed, callers, profile))
    sys.stdout.write(f"\nprofile {profile}, seed {seed}, {time.monotonic() - began:.0f} s\n")
    for line in leak.lines():
        sys.stdout.write(f"{line}\n")
    return leak


if __name__ == "__main__":
    sys.exit(main())

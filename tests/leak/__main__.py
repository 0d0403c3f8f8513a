"""The long form, `python -m tests.leak SEED CALLERS`: hostile callers, and a table of where losses came from."""

import contextlib
import io
import sys
import time

from emulator.upstream import Upstream
from tests.leak.crowd import rush
from tests.leak.report import Leak


def main() -> int:
    """Play and tell; 1 if the platform loses more than it may."""
    seed, callers = (int(argument) for argument in sys.argv[1:3])
    began = time.monotonic()
    with Upstream() as upstream, contextlib.redirect_stdout(io.StringIO()):
        leak = Leak(rush(upstream, seed, callers))
    for line in leak.lines():
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"seed {seed}: {time.monotonic() - began:.0f} s\n")
    return 0 if leak.is_tight else 1


if __name__ == "__main__":
    sys.exit(main())

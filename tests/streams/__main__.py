"""`python -m tests.streams SEED COUNT`: play random streams, and say how they ended."""

import sys
import time

from tests.streams.playing import play

seed, count = (int(each) for each in sys.argv[1:])
began = time.monotonic()
sys.stdout.write(f"seed {seed}: {play(seed, count)} in {time.monotonic() - began:.0f} s\n")

"""The two processes of `make test` run each test once, fail together, and end when they are told to."""

import signal
import subprocess
import sys

import pytest

from tests.__main__ import TESTS, WITHOUT_EMULATORS, halves

SECONDS_MAX = 60
ENDED = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("begun", flush=True)
signal.pause()
"""


def command(*codes: str) -> list[str]:
    """Return the command that runs two pieces of Python as the halves."""
    commands = [[sys.executable, "-c", code] for code in codes]
    return [sys.executable, "-c", f"import sys; from tests.__main__ import *; sys.exit(run_side_by_side(*{commands}))"]


def run(*codes: str) -> tuple[int, bytes]:
    done = subprocess.run(command(*codes), cwd=TESTS.parent, stdout=-1, check=False, timeout=SECONDS_MAX)
    return done.returncode, done.stdout


def test_every_folder_is_in_one_half():
    shown, kept = halves(["-x"])

    assert [f"--ignore={folder}" for folder in kept[-len(WITHOUT_EMULATORS) :]] == shown[-len(WITHOUT_EMULATORS) :]
    assert all(any((TESTS / name).glob("**/test_*.py")) for name in WITHOUT_EMULATORS)
    assert "-x" in shown
    assert "-x" in kept


def test_output_of_the_second_half_stands_behind_the_first():
    assert run("print('one')", "print('two')") == (0, b"one\ntwo\nfirst half: passed; second half: passed\n")


@pytest.mark.parametrize(("codes", "expected"), [((0, 0), 0), ((1, 0), 1), ((0, 2), 2), ((4, 1), 4)])
def test_a_half_that_fails_fails_the_whole(codes, expected):
    assert run(*(f"import sys; sys.exit({code})" for code in codes))[0] == expected


def test_a_half_that_is_killed_fails_the_whole():
    code, output = run("pass", "import os; os.kill(os.getpid(), 9)")

    assert (code, output) == (9, b"first half: passed; second half: failed\n")


def test_both_halves_end_when_the_whole_is_told_to_end():
    process = subprocess.Popen(command(ENDED, ENDED), cwd=TESTS.parent, stdout=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=SECONDS_MAX)

    assert process.returncode in {7, signal.SIGTERM}, "the second half may not have begun to listen"
    assert output.endswith(b"first half: failed; second half: failed\n")

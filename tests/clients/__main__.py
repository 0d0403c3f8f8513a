"""`python -m tests.clients [NAME]`: play the clients whose name contains NAME, or all, and show what runs.

Ends with 1 if a client does otherwise than `tests/clients/table.py` says. If all do as it says, the table on
`docs/clients/openai.md` is written from it.
"""

import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator.suite import Suite
from emulator.upstream import Upstream
from tests.clients.cases import CASES
from tests.clients.page import write_table
from tests.clients.playing import Outcome, play, version_of
from tests.clients.stage import Counter
from tests.clients.table import CLIENTS, chosen
from tests.fire.stage import Server, Stage
from tests.support.emulators import running

SURPRISE_CHARACTERS_MAX = 2_000


def main(name: str = "") -> int:
    """Play and print. Returns the exit code."""
    clients = chosen(name)
    surprised = 0
    with stood_up() as (stage, server, upstream):
        for client in clients:
            began = time.monotonic()
            upstream.reset()
            outcome = play(client, Counter(stage, server), upstream)
            surprised += bool(outcome.surprises)
            sys.stdout.write(line_of(outcome, time.monotonic() - began))
            sys.stdout.flush()
    sys.stdout.write(f"{len(clients) - surprised} of {len(clients)} clients do as the table says\n")
    if not surprised and len(clients) == len(CLIENTS):
        write_table()
    return int(surprised > 0)


@contextmanager
def stood_up() -> Iterator[tuple[Stage, Server, Upstream]]:
    """Start emulators, a stand-in provider and one instance of `api`; end them in the end."""
    with tempfile.TemporaryDirectory() as home, Upstream() as upstream:
        for folder in ("emulators", "clients"):
            Path(home, folder).mkdir()
        only, project = ("auth", "firestore", "pubsub"), f"demo-{uuid.uuid4().hex[:12]}"
        with running(Suite(home=Path(home, "emulators"), only=only, project=project)) as suite:
            stage = Stage(suite, upstream, Path(home, "clients"))
            with Server(stage) as server:
                yield stage, server, upstream


def line_of(outcome: Outcome, seconds: float) -> str:
    """Return what came of one client, a line, and one for each surprise."""
    cells = " · ".join(f"{words} {outcome.cell(case)}" for case, words in CASES.items())
    head = f"{outcome.client.name} {version_of(outcome.client)}: {cells} ({seconds:.0f} s)"
    return "\n".join([head, *(f"    {each[-SURPRISE_CHARACTERS_MAX:]}" for each in outcome.surprises)]) + "\n"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

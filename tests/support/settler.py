"""A process that settles one payment and dies at a commit of its choosing: `python -m tests.support.settler ID N WHEN`.

It dies by SIGKILL, `before` or `after` its N-th commit (from 1): nothing behind that moment runs. A commit that it does
not come to lets it end well.
"""

import os
import signal
import sys
from collections.abc import Sequence

from shared.bootstrap import production
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Documents, Version, Write
from shared.kernel.settings import parse_settings
from tests.support.faults import FaultyDocuments


class Mortal(FaultyDocuments):
    """A store whose user is killed at one of its commits."""

    def __init__(self, inner: Documents, number: int, when: str) -> None:
        super().__init__(inner)
        self._number = number
        self._moment = when

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """Pass it on, or die."""
        self._die("before", self.commits + 1)
        versions = super().commit(writes, timeout_seconds=timeout_seconds)
        self._die("after", self.commits)
        return versions

    def _die(self, moment: str, number: int) -> None:
        if (moment, number) == (self._moment, self._number):
            os.kill(os.getpid(), signal.SIGKILL)


def main(payment: str, number: str, when: str) -> None:
    """Settle it, if there is time."""
    services = production(parse_settings(os.environ))
    services.__dict__["documents"] = Mortal(services.documents, int(number), when)
    services.settlement.settle(payment)


if __name__ == "__main__":
    main(*sys.argv[1:])

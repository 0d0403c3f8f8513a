"""Witness of transparency logs over HTTP, with the rules of C2SP tlog-witness: `with WitnessStandIn(…) as witness:`."""

import threading
from typing import Self

from emulator.stand_ins.wire import Answer, Request, Server
from shared.kernel.clock import SystemClock
from shared.ledger.log.notes import VerifierKey
from shared.platform.memory.witness import CONFLICT, MemoryWitness


class WitnessStandIn:
    """Witness as a part of this process. `answer_with` makes the next answers other ones, `hold` delays all."""

    def __init__(self, name: str = "witness.example", seed: bytes = bytes(32), *, port: int = 0) -> None:
        self._witness = MemoryWitness(name, seed, SystemClock())
        self._server = Server(port, self._serve, name="witness")
        self._ordered: list[Answer] = []
        self._patience = threading.Event()
        self._patience.set()

    @property
    def url(self) -> str:
        """Return the prefix for submissions."""
        return self._server.url

    @property
    def vkey(self) -> VerifierKey:
        return self._witness.vkey

    def trust(self, key: VerifierKey) -> None:
        """Cosign checkpoints of the log with this key from now on."""
        self._witness.trust(key)

    def answer_with(self, *answers: Answer) -> None:
        self._ordered.extend(answers)

    def hold(self) -> None:
        """Answer nothing until the end."""
        self._patience.clear()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patience.set()
        self._server.stop()

    def _serve(self, request: Request) -> Answer:
        self._patience.wait()
        if self._ordered:
            return self._ordered.pop(0)
        if (request.method, request.path) != ("POST", "/add-checkpoint"):
            return Answer(status=404, kind="text/plain")
        answer = self._witness.add_checkpoint(self.url, request.body)
        kind = "text/x.tlog.size" if answer.status == CONFLICT else "text/plain; charset=utf-8"
        return Answer(status=answer.status, body=answer.body, kind=kind)

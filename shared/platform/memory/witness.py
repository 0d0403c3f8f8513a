"""Witness in memory, with the rules of C2SP tlog-witness: the newest cosigned checkpoint of each log."""

import re
import threading

from shared.kernel.clock import Clock
from shared.ledger.keys import from_base64
from shared.ledger.log.checkpoints import Checkpoint, parse_checkpoint
from shared.ledger.log.merkle import EMPTY_ROOT, is_consistent
from shared.ledger.log.notes import (
    COSIGNATURE,
    ForgedNote,
    MalformedNote,
    SeedSigner,
    SignedNote,
    VerifierKey,
    cosignature,
    parse_note,
)
from shared.ledger.log.witnesses import WitnessAnswer

OLD_SIZE = re.compile(rb"old (0|[1-9][0-9]{0,18})", re.ASCII)
PROOF_LINES_MAX = 63
BAD_REQUEST, FORBIDDEN, UNKNOWN_LOG, CONFLICT, UNPROCESSABLE = 400, 403, 404, 409, 422


class MemoryWitness:
    """Witness of the logs with trusted keys. Safe to share between threads."""

    def __init__(self, name: str, seed: bytes, clock: Clock) -> None:
        self._signer = SeedSigner(name, seed, kind=COSIGNATURE)
        self._clock = clock
        self._logs: dict[str, list[VerifierKey]] = {}
        self._newest: dict[str, Checkpoint] = {}
        self._turn = threading.Lock()

    @property
    def vkey(self) -> VerifierKey:
        """Key of the witness, of type 4."""
        return self._signer.vkey

    def trust(self, key: VerifierKey) -> None:
        """Cosign checkpoints of the log with this key from now on."""
        self._logs.setdefault(key.name, []).append(key)

    def add_checkpoint(self, url: str, body: bytes) -> WitnessAnswer:
        """Answer as a witness does; see `WitnessCalls.add_checkpoint`. The address is not looked at."""
        head, separator, text = body.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        old = OLD_SIZE.fullmatch(first)
        try:
            if not separator or old is None or len(lines) > PROOF_LINES_MAX:
                return WitnessAnswer(status=BAD_REQUEST, body=b"malformed request\n")
            proof = [from_base64(line.decode("ascii")) for line in lines]
            note = parse_note(text)
            checkpoint = parse_checkpoint(note.text)
        except ValueError:
            return WitnessAnswer(status=BAD_REQUEST, body=b"malformed request\n")
        with self._turn:
            return self._answer(int(old[1]), proof, note, checkpoint)

    def _answer(self, old: int, proof: list[bytes], note: SignedNote, checkpoint: Checkpoint) -> WitnessAnswer:
        """Check in the order of the specification, then remember the checkpoint and cosign it."""
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            return WitnessAnswer(status=UNKNOWN_LOG, body=b"unknown log\n")
        if not _is_signed(note, keys):
            return WitnessAnswer(status=FORBIDDEN, body=b"not signed by the log\n")
        if old > checkpoint.size:
            return WitnessAnswer(status=BAD_REQUEST, body=b"the old size is larger than the checkpoint's\n")
        newest = self._newest.get(checkpoint.origin)
        known = newest.size if newest else 0
        if old != known:
            return WitnessAnswer(status=CONFLICT, body=f"{known}\n".encode())
        if not _continues(newest, checkpoint, proof):
            return WitnessAnswer(status=UNPROCESSABLE, body=b"no consistency proof\n")
        self._newest[checkpoint.origin] = checkpoint
        signature = cosignature(note.text, self._signer, self._clock.now() // 1_000)
        return WitnessAnswer(status=200, body=str(signature).encode())


def _is_signed(note: SignedNote, keys: list[VerifierKey]) -> bool:
    try:
        return bool(note.signatures_by(keys))
    except (ForgedNote, MalformedNote):
        return False


def _continues(newest: Checkpoint | None, checkpoint: Checkpoint, proof: list[bytes]) -> bool:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        return False
    if newest is None or newest.size == 0:
        return not proof
    return is_consistent(newest.size, newest.root, checkpoint.size, checkpoint.root, proof)

"""Witnesses (C2SP tlog-witness): others that saw each tree of the log grow, and cosign the newest checkpoint.

A witness never cosigns two trees of which neither continues the other. So a log that shows different trees to
different people needs the witness's key as well. A silent or wrong witness only leaves a cosignature out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.kernel.errors import Unavailable
from shared.kernel.events import Alerts, log
from shared.kernel.side_by_side import side_by_side
from shared.ledger.keys import to_base64
from shared.ledger.log.checkpoints import parse_checkpoint
from shared.ledger.log.notes import (
    ForgedNote,
    MalformedNote,
    NoteSignature,
    SignedNote,
    VerifierKey,
    parse_signatures,
)

ADDED, OTHER_SIZE, INCONSISTENT = 200, 409, 422
DISAGREES = frozenset({OTHER_SIZE, INCONSISTENT})
"""Statuses of a witness that has seen another or a larger tree of this log."""
SIZE_CHARS_MAX = 20
ProofFrom = Callable[[int], Sequence[bytes]]
"""Consistency proof from a smaller tree of the log to the checkpoint's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWitness:
    """Witness that is asked for each checkpoint. `url` is the prefix for submissions."""

    vkey: VerifierKey
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessAnswer:
    """HTTP status and body of a witness's answer."""

    status: int
    body: bytes


class WitnessSilent(Unavailable):
    """Error for a witness that gave no answer in time."""

    code = "witness_silent"

    def __init__(self) -> None:
        super().__init__("The witness did not answer.")


class WitnessCalls(Protocol):
    """Port to witnesses."""

    def add_checkpoint(self, url: str, body: bytes) -> WitnessAnswer:
        """Return the answer to `POST {url}/add-checkpoint`, within seconds. Raises WitnessSilent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigning:
    """Checkpoint after its witnesses were asked. `is_over` is False if a silent witness is to be asked again."""

    note: SignedNote
    is_over: bool


class Witnesses:
    """All witnesses of the log. Never raises for a witness's fault: a cosignature is then missing until later."""

    def __init__(self, calls: WitnessCalls, witnesses: Sequence[LogWitness], alerts: Alerts) -> None:
        self._calls = calls
        self._witnesses = witnesses
        self._alerts = alerts

    def cosign(self, note: SignedNote, proof_from: ProofFrom, seen: SignedNote | None) -> Cosigning:
        """Ask each witness that has not cosigned, side by side. `proof_from` must be safe between threads.

        `seen` is the checkpoint before, None if there is none: a witness that cosigned knows this size.
        """
        missing = [each for each in self._witnesses if not _has_signed(note, each.vkey)]
        if not missing:
            return Cosigning(note=note, is_over=True)
        submission = _Submission(note=note, proof_from=proof_from, seen=seen)
        found = side_by_side(lambda witness: self._attempt(witness, submission), missing, len(missing))
        signatures = [each for each in found if isinstance(each, NoteSignature)]
        return Cosigning(note=note.with_signatures(signatures), is_over=WitnessSilent not in found)

    def _attempt(self, witness: LogWitness, submission: "_Submission") -> NoteSignature | type[WitnessSilent] | None:
        """Return the cosignature; WitnessSilent if there was no answer, None if the answer was another one."""
        try:
            answer = self._answer(witness, submission)
            if answer.status == ADDED:
                return _signature_in(answer, submission.note, witness.vkey)
            if answer.status in DISAGREES:
                self._alerts.alert(
                    "witness_disagrees", witness=witness.vkey.name, size=submission.size, status=answer.status
                )
            log("witness_refused", "WARNING", witness=witness.vkey.name, size=submission.size, status=answer.status)
        except WitnessSilent:
            log("witness_silent", "WARNING", witness=witness.vkey.name, size=submission.size)
            return WitnessSilent
        except (MalformedNote, ForgedNote):
            log("witness_signed_wrongly", "WARNING", witness=witness.vkey.name, size=submission.size)
        return None

    def _answer(self, witness: LogWitness, submission: "_Submission") -> WitnessAnswer:
        """Return the answer. A witness that knows an earlier tree than expected is asked once more, from that tree."""
        old = submission.size_known_to(witness.vkey)
        answer = self._calls.add_checkpoint(witness.url, submission.body(old))
        known = _size_in(answer.body) if answer.status == OTHER_SIZE else None
        if known is None or known == old or known > submission.size:
            return answer
        return self._calls.add_checkpoint(witness.url, submission.body(known))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submission:
    """Checkpoint to be cosigned."""

    note: SignedNote
    proof_from: ProofFrom
    seen: SignedNote | None

    @property
    def size(self) -> int:
        return parse_checkpoint(self.note.text).size

    def size_known_to(self, key: VerifierKey) -> int:
        """Return the size of the checkpoint before if this witness cosigned that one, else 0."""
        return parse_checkpoint(self.seen.text).size if self.seen and _has_signed(self.seen, key) else 0

    def body(self, old: int) -> bytes:
        return request_body(old, self.proof_from(old) if old else (), self.note)


def request_body(old: int, proof: Sequence[bytes], note: SignedNote) -> bytes:
    """Return the body of add-checkpoint: the old size, the consistency proof, an empty line and the checkpoint."""
    lines = [f"old {old}", *map(to_base64, proof), "", ""]
    return "\n".join(lines).encode() + str(note).encode()


def _has_signed(note: SignedNote, key: VerifierKey) -> bool:
    try:
        return key in note.signatures_by([key])
    except ForgedNote:
        return False


def _size_in(body: bytes) -> int | None:
    """Return the size of the newest checkpoint that the witness knows; None for a body in another form."""
    text = body.decode("ascii", "replace").removesuffix("\n")
    return int(text) if text.isascii() and text.isdigit() and len(text) < SIZE_CHARS_MAX else None


def _signature_in(answer: WitnessAnswer, note: SignedNote, key: VerifierKey) -> NoteSignature:
    """Return the cosignature by this key. Raises MalformedNote without one, ForgedNote if the text is another."""
    found = SignedNote(note.text, parse_signatures(answer.body)).signatures_by([key])
    if key not in found:
        raise MalformedNote("The witness did not cosign with its key.")
    return found[key]

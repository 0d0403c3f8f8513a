"""Proof texts (C2SP tlog-proof): index of a leaf, inclusion proof and signed checkpoint, for checks offline.

    c2sp.org/tlog-proof@v1
    index 73894
    <hash in base64>, one a line, from the leaf's sibling upwards

    <signed checkpoint>

An `extra` line may stand before the index. Nothing authenticates `extra`, so this log writes none.
"""

import re
from dataclasses import dataclass

from shared.ledger.keys import from_base64, to_base64
from shared.ledger.log.merkle import HASH_BYTES

FIRST_LINE = "c2sp.org/tlog-proof@v1"
HASHES_MAX = 63
"""Most hashes of a proof: a checkpoint's size is below 2^63."""
PROOF_CHARS_MAX = 1_000_000
INDEX = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_EXTRA, _INDEX = "extra ", "index "


class MalformedProof(ValueError):
    """Refusal of a text that is no tlog-proof. The message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofText:
    """Parsed proof, of which nothing is checked yet. `note` is the text of the signed checkpoint."""

    index: int
    hashes: tuple[bytes, ...]
    note: str
    extra: bytes | None = None

    def __str__(self) -> str:
        """Return the proof as it is served and saved."""
        extra = [] if self.extra is None else [_EXTRA + to_base64(self.extra)]
        lines = [FIRST_LINE, *extra, f"{_INDEX}{self.index}", *map(to_base64, self.hashes)]
        return "".join(f"{line}\n" for line in lines) + f"\n{self.note}"


def parse_proof(text: str) -> ProofText:
    """Parse a tlog-proof. Raises MalformedProof unless writing the proof again gives the same text."""
    if len(text) > PROOF_CHARS_MAX:
        raise MalformedProof(f"The proof is longer than {PROOF_CHARS_MAX} characters.")
    head, separator, note = text.partition("\n\n")
    if not separator or not note:
        raise MalformedProof("The proof has no empty line with a checkpoint behind it.")
    first, *lines = head.split("\n")
    if first != FIRST_LINE:
        raise MalformedProof(f"The first line of a proof is {FIRST_LINE}.")
    extra = None
    if lines and lines[0].startswith(_EXTRA):
        extra = _decoded(lines.pop(0).removeprefix(_EXTRA), "extra data")
    if not lines or not lines[0].startswith(_INDEX):
        raise MalformedProof("The proof has no line with the index of the leaf.")
    index, *hashes = lines
    if len(hashes) > HASHES_MAX:
        raise MalformedProof(f"The proof has more than {HASHES_MAX} hashes.")
    return ProofText(index=_number(index), hashes=tuple(map(_hash, hashes)), note=note, extra=extra)


def _number(line: str) -> int:
    digits = line.removeprefix(_INDEX)
    if not INDEX.fullmatch(digits):
        raise MalformedProof("The index of the proof is no whole number without leading zeroes.")
    return int(digits)


def _hash(line: str) -> bytes:
    raw = _decoded(line, "hash")
    if len(raw) != HASH_BYTES:
        raise MalformedProof(f"A hash of the proof is not {HASH_BYTES} bytes long.")
    return raw


def _decoded(text: str, part: str) -> bytes:
    """Decode canonical base64. Pad bits that are not zero are ignored by decoders, so the text is compared."""
    try:
        raw = from_base64(text)
    except ValueError as error:
        raise MalformedProof(f"The {part} of the proof is no padded base64.") from error
    if to_base64(raw) != text:
        raise MalformedProof(f"The base64 of the {part} of the proof is not in canonical form.")
    return raw

"""Checkpoints (C2SP tlog-checkpoint): origin, size, root hash and extension lines, the text of a signed note."""

import re
from dataclasses import dataclass

from shared.ledger.keys import from_base64, to_base64
from shared.ledger.log.notes import MalformedNote

HASH_BYTES = 32
SIZE_MAX = 2**63 - 1
FIXED_LINES = 3
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Statement of a log: the tree of `size` leaves has this root (RFC 6962)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the text of the note, with the last newline."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse the text of a note. Raises MalformedNote unless writing the checkpoint again gives the same text."""
    lines = text.split("\n")
    if len(lines) <= FIXED_LINES or lines.pop() != "" or not all(lines):
        raise MalformedNote("A checkpoint has a line each for origin, size and root, and no empty line.")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size) or int(size) > SIZE_MAX:
        raise MalformedNote("The size of the checkpoint is no whole number without leading zeroes.")
    return Checkpoint(origin=origin, size=int(size), root=_root(root), extensions=tuple(extensions))


def _root(text: str) -> bytes:
    try:
        root = from_base64(text)
    except ValueError as error:
        raise MalformedNote("The root of the checkpoint is no padded base64.") from error
    if to_base64(root) != text or len(root) != HASH_BYTES:
        raise MalformedNote(f"The root of the checkpoint is not {HASH_BYTES} bytes in canonical base64.")
    return root

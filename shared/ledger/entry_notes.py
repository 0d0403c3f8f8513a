"""Notes of entries: free text beside the journal, bound by a salted hash in the entry.

An edited note no longer has the hash. An erased note leaves a hash that tells nothing about the text, since the salt is
erased with the text. Entries of earlier releases bind no note.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.kernel.canonical import NotCanonical, canonical
from shared.kernel.ids import random_token

NOTE_CONTEXT = b"ics-note-v1:"
NOTE_FACT = "note_hash"
"""Name of the fact that binds the note in an entry's body."""
SALT_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundNote:
    """Note of an operation, with the random salt of the hash."""

    operation: str
    text: str
    salt: str

    def hash(self, ledger: str, uid: str) -> str:
        """Return the hash that binds the note in the entry of the operation, in hex."""
        return note_hash(ledger, uid, self.operation, self.salt, self.text)

    @property
    def data(self) -> Mapping[str, str]:
        """Fields of the note's document."""
        return {"text": self.text, "salt": self.salt}


def new_salt() -> str:
    """Return a fresh salt of 128 bits, in hex."""
    return random_token(SALT_BYTES)


def note_hash(ledger: str, uid: str, operation: str, salt: str, text: str) -> str:
    """Return the SHA-256 that binds a note to its operation, in hex. Broken Unicode counts as `?`."""
    storable = text.encode("utf-8", "replace").decode()
    told = {"ledger": ledger, "note": storable, "op": operation, "salt": salt, "uid": uid}
    return hashlib.sha256(NOTE_CONTEXT + canonical(told)).hexdigest()


def is_bound_by(body: Mapping[str, Any], note: Mapping[str, Any]) -> bool:
    """Return True if an entry's parsed body binds this very note. `note` are the fields of the note's document."""
    salt, text = note.get("salt"), note.get("text")
    if not (isinstance(salt, str) and isinstance(text, str)):
        return False
    try:
        told = note_hash(str(body.get("ledger")), str(body.get("uid")), str(body.get("op")), salt, text)
    except NotCanonical:
        return False
    return body.get(NOTE_FACT) == told


def binds_note(body: str) -> bool:
    """Return True if the canonical text of a body has a note's hash. Within a string, the quotes would be escaped."""
    return f'"{NOTE_FACT}":' in body

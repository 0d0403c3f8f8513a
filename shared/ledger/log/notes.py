"""Signed notes and verifier keys (C2SP signed-note), with timestamped cosignatures (C2SP tlog-cosignature, v1).

A note is a text that ends in a newline, an empty line, and signature lines `— name base64(key id ‖ signature)`. A
verifier key is `name+hash+base64(type ‖ public key)`. Only Ed25519 is known: type 1 signs the text, type 4 signs the
text with a time. Signatures of other types are of unknown keys, and unknown keys are ignored, as the format demands.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from shared.ledger.keys import from_base64, to_base64
from shared.ledger.public_points import public_key_problem

ED25519, COSIGNATURE = 1, 4
"""Types of signatures: over the text, and over the text with a time in seconds since 1970."""
KINDS = frozenset({ED25519, COSIGNATURE})
NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 100
KEY_ID_BYTES = 4
SIGNATURE_BYTES = 64
TIME_BYTES = 8
TIME_MAX = 2**63 - 1
_DASH = "— "
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
"""Pattern of each character that no note holds: controls other than newline, and halves of surrogates."""
_KEY_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)


class MalformedNote(ValueError):
    """Refusal of a text that is no signed note, or of a verifier key. The message is a sentence."""


class ForgedNote(ValueError):
    """Refusal of a note in which a signature of a known key does not fit the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """Public key with the name and the type under which its signatures stand in notes."""

    name: str
    kind: int
    public_key: bytes
    """32 bytes, as RFC 8032 encodes a point."""

    def __post_init__(self) -> None:
        """Refuse a name that would break lines, an unknown type and an unsound key. Raises MalformedNote."""
        require_key_name(self.name)
        if self.kind not in KINDS:
            raise MalformedNote(f"Type {self.kind} of the key of {self.name} is not supported: 1 and 4 are.")
        if problem := public_key_problem(self.public_key):
            raise MalformedNote(f"The key of {self.name} is refused: {problem}.")

    @property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256 over name, newline, type and key. With the name they identify the key."""
        material = bytes([self.kind]) + self.public_key
        return hashlib.sha256(self.name.encode() + b"\n" + material).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        """Return the vkey's text: `name+hash+base64`."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.kind]) + self.public_key)}"

    def is_signed(self, text: str, signature: bytes) -> bool:
        """Return True if the signature fits the text. A cosignature holds a time before the 64 bytes."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            seconds = int.from_bytes(signature[:TIME_BYTES])
            if seconds > TIME_MAX:
                return False
            message, signature = cosigned_message(seconds, text), signature[TIME_BYTES:]
        return len(signature) == SIGNATURE_BYTES and _is_verified(self.public_key, message, signature)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. `signature` has the bytes behind the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        """Return the line, with the newline."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.signature)}\n"

    @property
    def cosigned_at(self) -> int:
        """The time of a cosignature, in seconds since 1970. Of no use for a signature of another type."""
        return int.from_bytes(self.signature[:TIME_BYTES])


@dataclass(frozen=True, slots=True)
class SignedNote:
    """Text with signatures, of which none is checked yet. Trust the text only after `signatures_by`."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        """Return the note as it is stored and served."""
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    def signatures_by(self, keys: Iterable[VerifierKey]) -> dict[VerifierKey, NoteSignature]:
        """Return the valid signature of each of these keys that signed. Raises ForgedNote if one does not fit.

        Signatures of other keys are ignored. Of several signatures by one key the first counts, and all must fit.
        """
        known = {(key.name, key.key_id): key for key in keys}
        found: dict[VerifierKey, NoteSignature] = {}
        for each in self.signatures:
            key = known.get((each.name, each.key_id))
            if key is None:
                continue
            if not key.is_signed(self.text, each.signature):
                raise ForgedNote(f"The signature of {key.name} does not fit the text of the note.")
            found.setdefault(key, each)
        return found

    def with_signatures(self, added: Iterable[NoteSignature]) -> "SignedNote":
        """Return the note with further signatures. One key's later signature takes the place of its earlier one."""
        lines = {(each.name, each.key_id): each for each in (*self.signatures, *added)}
        return SignedNote(self.text, tuple(lines.values()))


class NoteSigner(Protocol):
    """Key that signs notes, wherever the secret lies."""

    @property
    def vkey(self) -> VerifierKey:
        """Public half of the key. Its type is Ed25519, so a signature is over the bare message."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature. Raises Unavailable if the key cannot be reached."""


class SeedSigner:
    """Signer with an Ed25519 seed of 32 bytes, under a name."""

    def __init__(self, name: str, seed: bytes, *, kind: int = ED25519) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._vkey = VerifierKey(name=name, kind=kind, public_key=self._private.public_key().public_bytes_raw())

    @property
    def vkey(self) -> VerifierKey:
        """Public half of the key."""
        return self._vkey

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature (RFC 8032)."""
        return self._private.sign(message)


def signed(text: str, signer: NoteSigner) -> SignedNote:
    """Return a note of this text with one signature. Raises MalformedNote for a text that no note can hold."""
    _require_text(text)
    vkey = signer.vkey
    assert vkey.kind == ED25519, "a note is signed by a key of type 1"
    return SignedNote(text, (NoteSignature(vkey.name, vkey.key_id, signer.sign(text.encode())),))


def cosignature(text: str, signer: NoteSigner, seconds: int) -> NoteSignature:
    """Return a witness's signature line for a checkpoint's text, made at this time (seconds since 1970)."""
    vkey = signer.vkey
    assert vkey.kind == COSIGNATURE, "a witness signs with a key of type 4"
    signature = signer.sign(cosigned_message(seconds, text))
    return NoteSignature(vkey.name, vkey.key_id, seconds.to_bytes(TIME_BYTES) + signature)


def cosigned_message(seconds: int, text: str) -> bytes:
    """Return the bytes that a cosignature/v1 signs."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def parse_vkey(text: str) -> VerifierKey:
    """Parse `name+hash+base64`. The base64 may hold `+`, so only the first two part it. Raises ValueError.

    The hash must be that of the name and key, so that a key cannot stand under another key's id.
    """
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):  # noqa: PLR2004
        raise MalformedNote("A verifier key is name+hash+base64, where the hash has 8 lower-case hex digits.")
    material = _from_base64(parts[2], "verifier key")
    if not material:
        raise MalformedNote("The verifier key holds no public key.")
    key = VerifierKey(name=parts[0], kind=material[0], public_key=material[1:])
    if key.key_id.hex() != parts[1]:
        raise MalformedNote(f"The hash of the verifier key of {key.name} is not that of its name and key.")
    return key


def parse_note(data: bytes | str) -> SignedNote:
    """Parse a signed note. Raises MalformedNote unless writing the note again gives the same bytes."""
    message = _decoded(data)
    text, separator, lines = message.rpartition("\n\n")
    if not separator:
        raise MalformedNote("The note has no empty line before its signatures.")
    text += "\n"
    _require_text(text)
    signatures = tuple(_signatures(lines))
    if not signatures:
        raise MalformedNote("The note has no signature.")
    return SignedNote(text, signatures)


def parse_signatures(data: bytes | str) -> tuple[NoteSignature, ...]:
    """Parse signature lines alone, as a witness answers them. Raises MalformedNote."""
    return tuple(_signatures(_decoded(data)))


def require_key_name(name: str) -> None:
    """Raise MalformedNote unless a key may have this name: not empty, no spaces, no `+`, no control characters."""
    if not name or "+" in name or any(character.isspace() for character in name) or _CONTROL.search(name):
        raise MalformedNote(f"{name!r} is no name of a key: names are not empty and hold no spaces and no plus sign.")


def _signatures(lines: str) -> Iterator[NoteSignature]:
    """Yield the signature of each line, in order. Raises MalformedNote."""
    if lines and not lines.endswith("\n"):
        raise MalformedNote("The last signature line does not end in a newline, so the note may be cut.")
    parts = lines.split("\n")[:-1]
    if len(parts) > SIGNATURES_MAX:
        raise MalformedNote(f"The note has more than {SIGNATURES_MAX} signatures.")
    for line in parts:
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space:
            raise MalformedNote("A signature line is an em dash, a space, a name, a space and base64.")
        require_key_name(name)
        raw = _from_base64(encoded, "signature")
        if len(raw) <= KEY_ID_BYTES:
            raise MalformedNote(f"The signature of {name} is too short.")
        yield NoteSignature(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def _decoded(data: bytes | str) -> str:
    if len(data) > NOTE_BYTES_MAX:
        raise MalformedNote(f"The note is longer than {NOTE_BYTES_MAX} bytes.")
    try:
        message = data.decode() if isinstance(data, bytes) else data
        message.encode()
    except UnicodeError as error:
        raise MalformedNote("The note is no valid UTF-8.") from error
    if _CONTROL.search(message):
        raise MalformedNote("The note holds a control character other than newline.")
    return message


def _require_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise MalformedNote("The text of a note ends in a newline and holds no other control character.")


def _from_base64(text: str, part: str) -> bytes:
    try:
        raw = from_base64(text)
    except ValueError as error:
        raise MalformedNote(f"The {part} is no padded base64.") from error
    if to_base64(raw) != text:
        raise MalformedNote(f"The base64 of the {part} is not in canonical form.")
    return raw


def _is_verified(public_key: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True

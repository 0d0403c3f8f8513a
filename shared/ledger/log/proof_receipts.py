"""Receipts: an entry, its signature, and the proof that the log holds it, in one JSON object to save and to check.

    {"format": "ics-receipt", "version": 1,
     "entry": {"body", "hash", "signature"},    body: canonical text; hash: its SHA-256 in hex; signature: base64
     "key": {"kid", "alg", "public_key"},       key that signed the entry
     "log": vkey,                               key that signed the checkpoint (C2SP signed-note)
     "proof": text}                             C2SP tlog-proof of the leaf `log.leaves.entry_leaf(hash, signature)`

Each field of the body (ledger, uid, seq, …) is covered by the hash, so no field outside repeats one.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = "ics-receipt"
FORMAT_VERSION = 1
ALGORITHM = "Ed25519"
RECEIPT_CHARS_MAX = 2_000_000
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Pattern of half characters, which have no bytes in UTF-8."""
_FIELDS = frozenset({"format", "version", "entry", "key", "log", "proof"})
_ENTRY_FIELDS = frozenset({"body", "hash", "signature"})
_KEY_FIELDS = frozenset({"kid", "alg", "public_key"})


class MalformedReceipt(ValueError):
    """Refusal of a receipt that has another form than the server writes. The message is a sentence."""


class NoReceipt(ValueError):
    """Refusal of a text that is no receipt at all. The message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReceipt:
    """Entry with its proof, of which nothing is checked yet."""

    body: str
    hash: str
    signature: str
    kid: str
    public_key: str
    """32 bytes, base64."""
    log: str
    proof: str

    def to_json(self) -> Mapping[str, Any]:
        """Return the receipt as it is served and saved."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "entry": {"body": self.body, "hash": self.hash, "signature": self.signature},
            "key": {"kid": self.kid, "alg": ALGORITHM, "public_key": self.public_key},
            "log": self.log,
            "proof": self.proof,
        }


def parse_receipt(text: str) -> ProofReceipt:
    """Parse a saved receipt. White space between the values is free, everything else is as the server writes it.

    Raises NoReceipt for another text, and MalformedReceipt for a receipt with unknown, missing or doubled fields.
    """
    if len(text) > RECEIPT_CHARS_MAX:
        raise NoReceipt(f"The text is longer than {RECEIPT_CHARS_MAX} characters, so it is no receipt.")
    doubled: list[str] = []
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, doubled))
    except (ValueError, RecursionError) as error:
        raise NoReceipt("The text is not JSON.") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise NoReceipt("The JSON is no receipt: it has no field format with the value ics-receipt.")
    if doubled:
        raise MalformedReceipt(f"The receipt names the field {doubled[0]!r} twice.")
    if type(value.get("version")) is not int or value["version"] != FORMAT_VERSION:
        raise MalformedReceipt(f"The receipt is not of version {FORMAT_VERSION}.")
    return _receipt(value)


def _receipt(value: Mapping[str, Any]) -> ProofReceipt:
    _require_fields("receipt", value, _FIELDS)
    entry = _require_fields("entry", value["entry"], _ENTRY_FIELDS)
    key = _require_fields("key", value["key"], _KEY_FIELDS)
    texts = {**entry, **key, "log": value["log"], "proof": value["proof"]}
    for name, text in texts.items():
        if not isinstance(text, str) or _SURROGATE.search(text):
            raise MalformedReceipt(f"The field {name!r} is no text.")
    if texts.pop("alg") != ALGORITHM:
        raise MalformedReceipt(f"The algorithm of the key is not {ALGORITHM}.")
    return ProofReceipt(**texts)


def _require_fields(name: str, value: Any, fields: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or value.keys() != fields:
        raise MalformedReceipt(f"The {name} must have exactly the fields {', '.join(sorted(fields))}.")
    return value


def _object(pairs: list[tuple[str, Any]], doubled: list[str]) -> dict[str, Any]:
    """Return the object, and note a name that stands twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            doubled.append(name)
        found[name] = value
    return found

"""Registry of the ledger's public keys: the fold of a chain of signed entries, which alone change it.

An entry's body is canonical JSON: `{"v", "ledger", "seq", "prev", "at", "kind", "kid", "by", …}`. Kinds:

- `added`: the key `kid` verifies from `since` on; with `public_key`.
- `ending`: the key signs no more. Its end will be `until`, which leaves instances the time to learn of this entry.
- `kept`: the key that was ending stays in force.
- `retired`: everything is sealed again, and the key's end is in force.

`by` is the id of the key that signed the entry: the added key itself for the first entry, else a key that is in force.
The signature covers `ics-key-v1:` and the SHA-256 of the body in hex.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

from shared.kernel.canonical import Json, NotCanonical, canonical, parse_canonical
from shared.kernel.clock import Millis
from shared.ledger.entries import body_hash
from shared.ledger.errors import RegistryBroken
from shared.ledger.keys import KEY_CONTEXT, PublicKey, Verifier

KeyEntryKind: TypeAlias = Literal["added", "ending", "kept", "retired"]

VERSION = 1
KID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
KEYS_MAX = 200
"""Most keys that a ledger can ever have. The whole chain stands in one document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """Link of the registry's chain: the canonical `body` and its signature, base64."""

    body: str
    signature: str

    @property
    def hash(self) -> str:
        """SHA-256 of the body, in hex."""
        return body_hash(self.body)

    def to_json(self) -> Mapping[str, Json]:
        """Return the entry as it stands in the registry's chain and in a leaf of the log."""
        return {"body": self.body, "signature": self.signature}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRegistry:
    """Public keys as the chain made them. `heads` has the hash of each entry, `at` is the time of the last one, in ms.

    `ends` has the announced end of each key that is ending or retired, in ms.
    """

    keys: tuple[PublicKey, ...] = ()
    ends: "tuple[tuple[str, Millis], ...]" = ()
    heads: tuple[str, ...] = ()
    at: Millis = 0

    @property
    def seq(self) -> int:
        """Number of entries."""
        return len(self.heads)

    @property
    def head(self) -> str:
        """Hash of the last entry; empty without entries."""
        return self.heads[-1] if self.heads else ""

    def find(self, kid: str) -> PublicKey | None:
        """Return the key with this id; None if there is none."""
        return next((key for key in self.keys if key.kid == kid), None)

    def end_of(self, kid: str) -> Millis | None:
        """Return the announced end of a key; None if none is announced."""
        return dict(self.ends).get(kid)


NO_KEYS = KeyRegistry()
"""Registry without entries."""


class KnownKeys(Protocol):
    """Registry as one instance knows it. No method reads more often than a few times a minute."""

    def current(self) -> KeyRegistry:
        """Return the known registry, which may be minutes old. Raises StoreUnavailable if none was ever read."""
        ...

    def look_for(self, kid: str) -> KeyRegistry:
        """Return the registry, read again because the known one lacks `kid`, unless it was read just now."""
        ...

    def for_signing(self) -> KeyRegistry:
        """Return the registry, so new that no announced end of a key has passed unseen. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """Change of the registry: the kind, the key, and the facts of the kind: `public_key` and `since`, or `until`."""

    kind: KeyEntryKind
    kid: str
    facts: "Mapping[str, Json]" = field(default_factory=dict)


def key_body(registry: KeyRegistry, ledger: str, change: KeyChange, by: str, at: Millis) -> str:
    """Return the body of the entry that follows, of the time `at` or of the last entry's, whichever is later."""
    body: dict[str, Json] = {
        "v": VERSION,
        "ledger": ledger,
        "seq": registry.seq + 1,
        "prev": registry.head,
        "at": max(at, registry.at),
        "kind": change.kind,
        "kid": change.kid,
        "by": by,
        **change.facts,
    }
    return canonical(body).decode()


def registry_of(entries: Iterable[KeyEntry], ledger: str) -> KeyRegistry:
    """Return the fold of a whole chain. Raises RegistryBroken for the first entry that breaks a law."""
    registry = NO_KEYS
    for entry in entries:
        registry = followed(registry, entry, ledger)
    return registry


def followed(registry: KeyRegistry, entry: KeyEntry, ledger: str) -> KeyRegistry:
    """Return the registry after one more entry.

    Raises RegistryBroken with the entry's seq and the law: `canonical`, `identity`, `sequence`, `link`, `time`, `kind`,
    `signature`.
    """
    seq = registry.seq + 1
    try:
        body: Any = parse_canonical(entry.body)
        _check_place(registry, body, ledger)
        changed = _changed(registry, body)
        _check_signature(registry if registry.seq else changed, entry, body)
    except (NotCanonical, KeyError, TypeError, AttributeError) as error:
        raise RegistryBroken(seq, "canonical") from error
    return replace(changed, heads=(*registry.heads, entry.hash), at=body["at"])


def _check_place(registry: KeyRegistry, body: Any, ledger: str) -> None:
    seq = registry.seq + 1
    if (body["v"], body["ledger"]) != (VERSION, ledger):
        raise RegistryBroken(seq, "identity")
    if body["seq"] != seq:
        raise RegistryBroken(seq, "sequence")
    if body["prev"] != registry.head:
        raise RegistryBroken(seq, "link")
    if not isinstance(body["at"], int) or body["at"] < registry.at:
        raise RegistryBroken(seq, "time")


def _check_signature(registry: KeyRegistry, entry: KeyEntry, body: Any) -> None:
    """Raise RegistryBroken unless a key in force signed the entry. A key whose end is announced adds no other key."""
    by = registry.find(body["by"])
    if by is None or by.status != "verifying" or by.since > body["at"]:
        raise RegistryBroken(body["seq"], "signature")
    if not Verifier((by,)).is_signed(KEY_CONTEXT, entry.hash.encode(), kid=by.kid, signature=entry.signature):
        raise RegistryBroken(body["seq"], "signature")


def _changed(registry: KeyRegistry, body: Any) -> KeyRegistry:
    """Return the registry with the entry's change. Raises RegistryBroken for a change that is not allowed."""
    key, kind = registry.find(body["kid"]), body["kind"]
    if kind == "added" and key is None and len(registry.keys) < KEYS_MAX:
        return replace(registry, keys=(*registry.keys, _added(registry, body)))
    if kind == "ending" and key is not None and key.status == "verifying" and isinstance(body["until"], int):
        ends = (*registry.ends, (key.kid, body["until"]))
        return replace(registry, keys=_with(registry.keys, replace(key, status="ending")), ends=ends)
    if kind == "kept" and key is not None and key.status == "ending":
        ends = tuple(end for end in registry.ends if end[0] != key.kid)
        return replace(registry, keys=_with(registry.keys, replace(key, status="verifying")), ends=ends)
    if kind == "retired" and key is not None and key.status == "ending":
        retired = replace(key, status="retired", until=registry.end_of(key.kid))
        return replace(registry, keys=_with(registry.keys, retired))
    raise RegistryBroken(registry.seq + 1, "kind")


def _added(registry: KeyRegistry, body: Any) -> PublicKey:
    """Return the key of an entry. Raises RegistryBroken for a bad id, and for a public key that is there or no good."""
    key = PublicKey(kid=body["kid"], public_key=body["public_key"], since=body["since"])
    is_new = key.public_key not in {each.public_key for each in registry.keys}
    try:
        Verifier((key,))
    except ValueError as error:
        raise RegistryBroken(registry.seq + 1, "kind") from error
    if not is_new or not KID.fullmatch(key.kid) or not isinstance(key.since, int):
        raise RegistryBroken(registry.seq + 1, "kind")
    return key


def _with(keys: Sequence[PublicKey], changed: PublicKey) -> tuple[PublicKey, ...]:
    return tuple(changed if key.kid == changed.kid else key for key in keys)

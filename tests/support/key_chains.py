"""Chains of key entries for tests: signed by whom the test says, right or wrong."""

from dataclasses import replace
from typing import Any

from shared.kernel.settings import SigningKey
from shared.ledger.key_registry import NO_KEYS, KeyChange, KeyEntry, key_body
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import KEY_CONTEXT


class KeyChain:
    """A chain that grows by one entry a call. Its links and seqs are right."""

    def __init__(self, ledger: str, keys: tuple[SigningKey, ...]) -> None:
        self.entries: list[KeyEntry] = []
        self._ledger = ledger
        self._ring = KeyRing(keys)
        self._public = {key.kid: key.public_key for key in self._ring.registry}

    def add(self, key: SigningKey, *, by: SigningKey, at: int, since: int | None = None) -> None:
        facts = {"public_key": self._public[key.kid], "since": at if since is None else since}
        self.change("added", key.kid, by=by, at=at, **facts)

    def change(self, kind: Any, kid: str, *, by: SigningKey, at: int, **facts: Any) -> None:
        before = replace(NO_KEYS, heads=tuple(entry.hash for entry in self.entries))
        body = key_body(before, self._ledger, KeyChange(kind=kind, kid=kid, facts=facts), by.kid, at)
        signature = self._ring.sign(KEY_CONTEXT, KeyEntry(body=body, signature="").hash.encode(), by.kid)
        self.entries.append(KeyEntry(body=body, signature=signature))

"""Stored registry of public keys, and the registry as one instance knows it.

`ledger_log/keys` holds the whole chain and a mark of it, so that one read tells and proves the registry.
`ledger_log/keys/entries/{seq}` holds each entry by itself; no two entries can have one place. Each entry becomes a leaf
of the public log.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.kernel.canonical import NotCanonical, canonical, parse_canonical
from shared.kernel.clock import MINUTE, SECOND, Clock, Millis
from shared.kernel.documents import Create, Documents, Put, Version, Write
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log
from shared.ledger.document_paths import entry_id
from shared.ledger.errors import RegistryBroken
from shared.ledger.key_registry import NO_KEYS, KeyEntry, KeyRegistry, registry_of
from shared.ledger.keys import from_base64
from shared.ledger.log.typed_leaves import TypedLeaf, queue_leaf
from shared.ledger.marks import MarkRing

KEYS_PATH = "ledger_log/keys"
FRESH: Millis = 2 * MINUTE
"""Age of the known registry after which an instance reads the registry again, beside its calls."""
STALE: Millis = 5 * MINUTE
"""Age of the known registry at which nothing is signed by it any more."""
END_NOTICE: Millis = 15 * MINUTE
"""Time between the announcement of a key's end and the end.

Longer than `STALE`, the longest retries of a commit, and the difference of two clocks together. So after the end no
instance signs with the key.
"""
LOOK_AGAIN: Millis = 5 * SECOND
"""Least time between two reads for unknown keys, so that forged signatures cause few reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRegistry:
    """Registry as read, with its entries. `version` is None if there is no document."""

    registry: KeyRegistry = NO_KEYS
    entries: tuple[KeyEntry, ...] = ()
    version: Version | None = None
    is_marked_today: bool = True


class KeyStore:
    """Reader and writer of the registry's documents."""

    def __init__(self, documents: Documents, marks: MarkRing, ledger: str) -> None:
        self._documents = documents
        self._marks = marks
        self.ledger = ledger

    def read(self) -> StoredRegistry:
        """Return the registry. Raises RegistryBroken if the ledger did not write it, UnknownKey, StoreUnavailable."""
        document = self._documents.get(KEYS_PATH)
        if document is None:
            return StoredRegistry()
        chain, seal = str(document.data.get("chain")), str(document.data.get("seal"))
        if not self._marks.is_marked(self._message(chain), seal):
            raise RegistryBroken(0, "seal")
        entries = _entries_in(chain)
        return StoredRegistry(
            registry=registry_of(entries, self.ledger),
            entries=entries,
            version=document.version,
            is_marked_today=self._marks.is_of_today(seal),
        )

    def append(self, stored: StoredRegistry, entries: Sequence[KeyEntry]) -> None:
        """Store further entries behind those of `stored`, in one commit.

        Raises PreconditionFailed if the registry has changed since it was read, and the errors of `Documents.commit`.
        """
        new = [write for seq, each in enumerate(entries, stored.registry.seq + 1) for write in _entry_writes(seq, each)]
        self._documents.commit([self._head((*stored.entries, *entries), stored.version), *new])

    def mark_again(self, stored: StoredRegistry) -> None:
        """Mark the registry with the key that makes marks now. Raises the errors of `Documents.commit`."""
        self._documents.commit([self._head(stored.entries, stored.version)])

    def has_leaf(self, leaf: TypedLeaf) -> bool:
        """Return True unless the leaf says to be an entry of the registry, and the registry has another one or none.

        Reads the registry for the leaf of an entry. Raises RegistryBroken, UnknownKey, StoreUnavailable.
        """
        if leaf.kind != "key":
            return True
        return dict(leaf.body) in [dict(entry.to_json()) for entry in self.read().entries]

    def unlike(self, stored: StoredRegistry) -> int | None:
        """Return the seq of the first stored entry that is missing or differs from the registry's; None if none.

        Also finds an entry behind the registry's last, as after the registry was rolled back.
        """
        last = len(stored.entries) + 1
        paths = [f"{KEYS_PATH}/entries/{entry_id(seq)}" for seq in range(1, last + 1)]
        told = [entry.body for entry in stored.entries]
        found = [None if each is None else each.data.get("body") for each in self._documents.get_all(paths)]
        return next((seq for seq in range(1, last + 1) if found[seq - 1] != ([*told, None])[seq - 1]), None)

    def _head(self, entries: Sequence[KeyEntry], version: Version | None) -> Write:
        chain = "\n".join(canonical(each.to_json()).decode() for each in entries)
        data = {"chain": chain, "seal": self._marks.mark(self._message(chain))}
        return Create(KEYS_PATH, data) if version is None else Put(KEYS_PATH, data, version)

    def _message(self, chain: str) -> bytes:
        digest = hashlib.sha256(chain.encode("utf-8", "replace")).hexdigest()
        return canonical({"ledger": self.ledger, "path": KEYS_PATH, "state": digest})


def _entry_writes(seq: int, entry: KeyEntry) -> list[Write]:
    """Return the writes of an entry by itself and of the leaf that waits for the log."""
    body: Any = parse_canonical(entry.body)
    data = {"kind": body["kind"], "body": entry.body, "signature": from_base64(entry.signature)}
    leaf = queue_leaf("key", f"key-{entry_id(seq)}", entry.to_json(), body["at"])
    return [Create(f"{KEYS_PATH}/entries/{entry_id(seq)}", data), leaf]


def _entries_in(chain: str) -> tuple[KeyEntry, ...]:
    """Return the entries in the text of a chain. Raises RegistryBroken."""
    entries: list[KeyEntry] = []
    for line in chain.split("\n"):
        try:
            told: Any = parse_canonical(line)
            entries.append(KeyEntry(body=told["body"], signature=told["signature"]))
        except (NotCanonical, KeyError, TypeError) as error:
            raise RegistryBroken(len(entries) + 1, "canonical") from error
    return tuple(entries)


class KnownRegistry:
    """Registry as one instance knows it; see `KnownKeys`. Safe to share between threads.

    What is known never goes back: if the stored registry lacks a known entry, operators are told and the known one
    counts on.
    """

    def __init__(
        self,
        store: KeyStore,
        clock: Clock,
        alerts: Alerts | None = None,
        begin_reading: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._alerts = alerts
        self._begin_reading = begin_reading or _in_thread
        self._lock = threading.Lock()
        self._known: KeyRegistry | None = None
        self._read_at: Millis = 0
        self._begun_at: Millis = 0
        self._failure: RegistryBroken | None = None
        self._failed_at: Millis = 0

    @property
    def known(self) -> KeyRegistry | None:
        """Registry as last read, however old; None if this instance has read none."""
        return self._known

    def current(self) -> KeyRegistry:
        """Return the known registry. If nothing is known, read it: raises StoreUnavailable, RegistryBroken."""
        known, age = self._known, self._clock.now() - self._read_at
        if known is None:
            return self._read(0)
        if age >= STALE:
            return self._reread(STALE, known)
        if age >= FRESH and self._clock.now() - self._begun_at >= FRESH:
            self._begun_at = self._clock.now()
            self._begin_reading(lambda: self._refresh(known))
        return known

    def for_signing(self) -> KeyRegistry:
        """Return a registry younger than `STALE`. Raises StoreUnavailable, RegistryBroken."""
        known = self.current()
        return known if self._clock.now() - self._read_at < STALE else self._read(STALE)

    def look_for(self, kid: str) -> KeyRegistry:
        """Return the registry, read again for an unknown key at most every `LOOK_AGAIN`."""
        known = self.current()
        return known if known.find(kid) is not None else self._reread(LOOK_AGAIN, known)

    def learn(self, registry: KeyRegistry) -> None:
        """Take over a registry that this instance has just read or written."""
        with self._lock:
            self._take(registry)

    def _refresh(self, known: KeyRegistry) -> None:
        self._reread(FRESH, known)

    def _reread(self, age: Millis, known: KeyRegistry) -> KeyRegistry:
        try:
            return self._read(age)
        except DomainError as error:
            log("key_registry_not_read", "WARNING", code=error.code)
            return known

    def _read(self, age: Millis) -> KeyRegistry:
        """Read the registry unless another thread has read it since, within `age`.

        A broken registry is not read again within `LOOK_AGAIN`, so that it causes few reads and alerts.
        """
        with self._lock:
            now = self._clock.now()
            if self._known is not None and now - self._read_at < age:
                return self._known
            if self._failure is not None and now - self._failed_at < LOOK_AGAIN:
                raise self._failure
            try:
                known = self._take(self._store.read().registry, now)
            except RegistryBroken as broken:
                self._failure, self._failed_at = broken, now
                self._alarm(broken)
                raise
            self._failure = None
            return known

    def _take(self, registry: KeyRegistry, at: Millis | None = None) -> KeyRegistry:
        known = self._known
        if known is not None and not _goes_on(known, registry):
            raise RegistryBroken(known.seq, "rollback")
        self._read_at = self._clock.now() if at is None else at
        if known is None or known != registry:
            self._known = registry
        assert self._known is not None
        return self._known

    def _alarm(self, broken: RegistryBroken) -> None:
        if self._alerts is not None:
            self._alerts.alert("integrity_failed", uid=KEYS_PATH, **broken.params)


def _goes_on(known: KeyRegistry, registry: KeyRegistry) -> bool:
    """Return True if the registry is the known one, or has more entries behind the known ones."""
    return known.seq == 0 or (registry.seq >= known.seq and registry.heads[known.seq - 1] == known.head)


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="key-registry", daemon=True).start()

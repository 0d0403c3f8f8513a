"""Acts on the registry of public keys: announce, end, keep and retire a key. Each appends a signed entry."""

from collections.abc import Callable, Sequence

from shared.kernel.clock import Clock, Millis
from shared.kernel.documents import OutcomeUnknown, PreconditionFailed
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.events import log
from shared.ledger.errors import NoSigningKey
from shared.ledger.key_registry import KeyChange, KeyEntry, KeyRegistry, followed, key_body
from shared.ledger.key_ring import KeyRing
from shared.ledger.key_store import END_NOTICE, KeyStore, KnownRegistry
from shared.ledger.keys import KEY_CONTEXT, PublicKey
from shared.ledger.marks import MarkRing

ATTEMPTS_MAX = 5
"""Most attempts at one act while other instances change the registry."""
Wanted = Callable[[KeyRegistry], Sequence[KeyChange]]
"""Decision on the registry as just read: the changes of one commit, none if there is nothing to do."""


class SigningKeyNotFound(NotFound):
    """No key of this id in the registry."""

    code = "signing_key_not_found"

    def __init__(self, kid: str) -> None:
        super().__init__(f"The registry names no key {kid}.", kid=kid)


class KeyStillNeeded(Conflict):
    """Act that would leave the ledger without a key, or records without a mark; `reason` is a sentence."""

    code = "key_still_needed"

    def __init__(self, kid: str, reason: str) -> None:
        super().__init__(reason, kid=kid)


class KeyActs:
    """Writer of the registry. Each act may be repeated: what is done already is not done again."""

    def __init__(self, store: KeyStore, known: KnownRegistry, ring: KeyRing, marks: MarkRing, clock: Clock) -> None:
        self._store = store
        self._known = known
        self._ring = ring
        self._marks = marks
        self._clock = clock

    @property
    def registry(self) -> KeyRegistry:
        """Registry as just read. Raises RegistryBroken, StoreUnavailable."""
        registry = self._store.read().registry
        self._known.learn(registry)
        return registry

    def is_due(self, registry: KeyRegistry) -> bool:
        """Return True if a held key is not announced in this registry, or if a key is ending."""
        return bool(self._added(registry)) or any(key.status == "ending" for key in registry.keys)

    def tend(self) -> int:
        """Add held keys that the registry lacks, and renew the registry's mark; return the number of added keys.

        Reads the registry once if there is nothing to do. Raises the errors of `KeyStore`.
        """
        stored = self._store.read()
        self._known.learn(stored.registry)
        if self._added(stored.registry):
            return self.announce()
        if stored.version is not None and not stored.is_marked_today:
            self._store.mark_again(stored)
        return 0

    def announce(self) -> int:
        """Add the held keys that the registry does not name yet, in one commit, and return their number.

        The keys of the first commit are in force from the beginning of the ledger, since they may have signed before
        there was a registry. Raises the errors of `KeyStore`.
        """
        return self._act(self._added)

    def end(self, kid: str) -> Millis:
        """Let the key sign no more, and return the time of its end in ms. Raises SigningKeyNotFound, KeyStillNeeded."""
        self._act(lambda registry: self._ended(registry, kid))
        end = self._known.current().end_of(kid)
        assert end is not None, "the key ends now, or ended before"
        return end

    def keep(self, kid: str) -> None:
        """Take back the announced end of a key. Raises SigningKeyNotFound, and KeyStillNeeded if the key is retired."""
        self._act(lambda registry: self._kept(registry, kid))

    def retire(self, kid: str) -> None:
        """Put the end of a key in force. Everything must be sealed again before. Raises SigningKeyNotFound."""
        self._act(lambda registry: self._retired(registry, kid))

    def unlike(self) -> int | None:
        """Return the seq of the first stored entry that differs from the registry; None if none does."""
        return self._store.unlike(self._store.read())

    # Changes -----------------------------------------------------------------------------------------------------

    def _added(self, registry: KeyRegistry) -> Sequence[KeyChange]:
        since = self._clock.now() if registry.keys else 0
        return [
            KeyChange(kind="added", kid=key.kid, facts={"public_key": key.public_key, "since": since})
            for key in self._ring.held
            if registry.find(key.kid) is None
        ]

    def _ended(self, registry: KeyRegistry, kid: str) -> Sequence[KeyChange]:
        if _known(registry, kid).status in {"ending", "retired"}:
            return ()
        if not self._marks.needs_no_seed:
            raise KeyStillNeeded(kid, "The seeds still make the marks of records: set MARKS_SECRET and deploy first.")
        if not [key for key in self._in_force(registry) if key.kid != kid]:
            raise KeyStillNeeded(kid, f"{kid} is the only key in force: add and use another one first.")
        return [KeyChange(kind="ending", kid=kid, facts={"until": self._clock.now() + END_NOTICE})]

    def _kept(self, registry: KeyRegistry, kid: str) -> Sequence[KeyChange]:
        status = _known(registry, kid).status
        if status == "retired":
            raise KeyStillNeeded(kid, f"{kid} is retired for ever: add another key.")
        return [KeyChange(kind="kept", kid=kid)] if status == "ending" else ()

    def _retired(self, registry: KeyRegistry, kid: str) -> Sequence[KeyChange]:
        key, end = _known(registry, kid), registry.end_of(kid)
        if key.status == "retired":
            return ()
        if end is None or end >= self._clock.now():
            raise KeyStillNeeded(kid, f"{kid} may still sign.")
        return [KeyChange(kind="retired", kid=kid)]

    # One commit --------------------------------------------------------------------------------------------------

    def _act(self, wanted: Wanted) -> int:
        """Append the wanted changes, and return their number."""
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return self._append(wanted)
            except (PreconditionFailed, OutcomeUnknown):
                continue
        return self._append(wanted)

    def _append(self, wanted: Wanted) -> int:
        stored = self._store.read()
        self._known.learn(stored.registry)
        registry, entries, changes = stored.registry, list[KeyEntry](), wanted(stored.registry)
        for change in changes:
            entries.append(self._signed(registry, change))
            registry = followed(registry, entries[-1], self._store.ledger)
        if entries:
            self._store.append(stored, entries)
            self._known.learn(registry)
        for change in changes:
            log("key_registry_changed", kind=change.kind, kid=change.kid)
        return len(changes)

    def _signed(self, registry: KeyRegistry, change: KeyChange) -> KeyEntry:
        by = self._signer(registry, change)
        body = key_body(registry, self._store.ledger, change, by, self._clock.now())
        signature = self._ring.sign(KEY_CONTEXT, KeyEntry(body=body, signature="").hash.encode(), by)
        return KeyEntry(body=body, signature=signature)

    def _signer(self, registry: KeyRegistry, change: KeyChange) -> str:
        """Return the id of the key that signs a change: the added key if it is the first, else another in force."""
        if not registry.keys:
            return change.kid
        others = [key.kid for key in self._in_force(registry) if key.kid != change.kid]
        if not others:
            raise NoSigningKey
        return others[0]

    def _in_force(self, registry: KeyRegistry) -> list[PublicKey]:
        """Return the held keys that may sign now, the preferred one first."""
        named = {key.kid: key for key in registry.keys}
        held = [(named[key.kid], key) for key in self._ring.held if key.kid in named]
        mine = [known for known, key in held if known.public_key == key.public_key]
        return [key for key in mine if key.status == "verifying" and key.since <= self._clock.now()]


def _known(registry: KeyRegistry, kid: str) -> PublicKey:
    key = registry.find(kid)
    if key is None:
        raise SigningKeyNotFound(kid)
    return key

"""Keys of one instance: the seeds that sign, the secrets that mark, and the public keys as the registry names them.

The cryptography library is imported when the first ring is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.kernel.clock import Millis
from shared.ledger.errors import NoSigningKey, UnknownKey
from shared.ledger.key_registry import NO_KEYS, KeyRegistry, KnownKeys
from shared.ledger.keys import LoadedKey, PublicKey, Verifier, to_base64
from shared.ledger.marks import MarkRing

if TYPE_CHECKING:
    from shared.kernel.settings import SigningKey


class KeyRing(Verifier):
    """Signing keys of one instance, and the public keys of the registry as the instance knows it.

    The first held key that is in force signs. A held key that the registry does not name yet counts as in force from
    the beginning, so that a new ledger can begin.
    """

    def __init__(
        self, keys: "tuple[SigningKey, ...]", marks: MarkRing | None = None, known: KnownKeys | None = None
    ) -> None:
        """Take the signing keys, the first one preferred. Without `marks`, the seeds make the marks."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._forged = InvalidSignature
        self._private = {key.kid: Ed25519PrivateKey.from_private_bytes(key.seed) for key in keys}
        self._held = tuple(
            PublicKey(kid=kid, public_key=to_base64(private.public_key().public_bytes_raw()))
            for kid, private in self._private.items()
        )
        self._marks = marks or MarkRing((), keys)
        self._known = known
        self._view = _view(NO_KEYS, self._held)

    @property
    def kid(self) -> str:
        """Id of the key that signs, as the known registry says. Raises NoSigningKey, and the errors of `current`."""
        if self._known is not None:
            self._look(self._known.current())
        if not self._view.signing:
            raise NoSigningKey
        return self._view.signing[0].kid

    def kid_at(self, now: Millis) -> str:
        """Return the id of the key that signs at the time `now`, after the registry was read if that is due.

        Raises NoSigningKey, StoreUnavailable, RegistryBroken.
        """
        if self._known is not None:
            self._look(self._known.for_signing())
        kid = next((key.kid for key in self._view.signing if key.since <= now), None)
        if kid is None:
            raise NoSigningKey
        return kid

    @property
    def held(self) -> tuple[PublicKey, ...]:
        """Public keys of the seeds that this instance holds, the preferred one first."""
        return self._held

    @property
    def registry(self) -> tuple[PublicKey, ...]:
        """Public keys of the registry, and the held ones that are not named yet; the signing key first."""
        if self._known is not None:
            self._look(self._known.current())
        return self._view.told

    @property
    def registry_size(self) -> int:
        """Number of entries of the registry that this instance knows; 0 without a registry."""
        return 0 if self._known is None else self._known.current().seq

    def sign(self, context: bytes, message: bytes, kid: str | None = None) -> str:
        """Return the Ed25519 signature (RFC 8032) of `message` in its context, base64. By key `kid`, if given."""
        return to_base64(self._private[kid or self.kid].sign(context + message))

    def mark(self, message: bytes) -> str:
        """Return a mark of `message`; see `MarkRing.mark`."""
        return self._marks.mark(message)

    def is_marked(self, message: bytes, mark: str) -> bool:
        """Return True if this ring made the mark; see `MarkRing.is_marked`. Raises UnknownKey."""
        return self._marks.is_marked(message, mark)

    def is_mark_of_today(self, mark: str) -> bool:
        """Return True if the key that makes marks now made a mark; see `MarkRing.is_of_today`."""
        return self._marks.is_of_today(mark)

    def _loaded(self, kid: str) -> LoadedKey:
        if self._known is not None:
            self._look(self._known.current())
            if kid not in self._view.keys:
                self._look(self._known.look_for(kid))
        loaded = self._view.keys.get(kid)
        if loaded is None:
            raise UnknownKey(kid)
        return loaded

    def _look(self, registry: KeyRegistry) -> None:
        if registry is not self._view.registry:
            self._view = _view(registry, self._held)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _View:
    """Keys by id as one registry and the held keys give them. `signing`: held keys in force, the preferred first."""

    registry: KeyRegistry
    keys: Mapping[str, LoadedKey]
    signing: tuple[PublicKey, ...]
    told: tuple[PublicKey, ...]


def _view(registry: KeyRegistry, held: tuple[PublicKey, ...]) -> _View:
    """Return the keys of a registry and the held ones beside it.

    Once there is a registry, a held key signs only if the registry names it, with the same public key.
    """
    named = {key.kid: key for key in registry.keys}
    keys = {key.kid: named.get(key.kid, key) for key in (*held, *registry.keys)}
    same = [keys[key.kid] for key in held if keys[key.kid].public_key == key.public_key]
    signing = tuple(key for key in same if key.status == "verifying" and (key.kid in named or not named))
    first = {key.kid for key in signing[:1]}
    told = tuple(replace(key, status="signing") if key.kid in first else key for key in keys.values())
    return _View(registry, {kid: LoadedKey(key) for kid, key in keys.items()}, signing, told)

"""Authority of background work: the work ends with the login or the API key that requested it.

An agent task and an image task name the principal that they spend for. A request is checked when it arrives. Background
work lasts for minutes or days after its request, so each spending step is preceded by a new check.
"""

from typing import Protocol

from shared.kernel.clock import Clock
from shared.kernel.errors import Rejected
from shared.kernel.ids import Uid
from shared.users.api_keys import ApiKeys
from shared.users.key_lookup import ApiKeyExpired
from shared.users.logins import Logins
from shared.users.principal import Scope, key_id_of

Scopes = frozenset[Scope] | None
"""Scopes of the API key that requested the work; None if a user requested the work in person and may do everything."""


class ApiKeyRevoked(Rejected):
    """The API key that requested this work was revoked."""

    code = "api_key_revoked"

    def __init__(self) -> None:
        super().__init__("The API key that this was asked for with was revoked. Resume it with another key.")


class Authority(Protocol):
    """Decides whether background work may take its next step."""

    def check(self, uid: Uid, spender: str) -> Scopes:
        """Return the scopes that the work may use; None: all, since a user requested the work in person.

        `spender` is the principal that the work spends for. Raises LoginDisabled, ApiKeyRevoked, ApiKeyExpired,
        IdentityUnavailable.
        """
        ...


class StandingAuthority:
    """Check of the key and the login behind background work; see `Authority`.

    Each check reads the key; the answer about the login is up to a minute old.
    """

    def __init__(self, logins: Logins, keys: ApiKeys, clock: Clock) -> None:
        self._logins = logins
        self._keys = keys
        self._clock = clock

    def check(self, uid: Uid, spender: str) -> Scopes:
        """Return the scopes that the work may use; None: all. See `Authority.check`."""
        asking = self._logins.ask(uid)
        key_id = key_id_of(spender, uid)
        scopes = None if key_id is None else self._scopes(uid, key_id)
        asking.confirm()
        return scopes

    def _scopes(self, uid: Uid, key_id: str) -> frozenset[Scope]:
        key = self._keys.find(key_id)
        if key is None or key.uid != uid:
            raise ApiKeyRevoked
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            raise ApiKeyExpired
        return key.scopes

"""Firebase Auth in memory: users who sign up by a call, and opaque tokens."""

import secrets
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from shared.kernel.clock import HOUR, Clock, Millis
from shared.kernel.ids import Uid
from shared.users.ports import (
    AppCheckFailed,
    AuthUser,
    IdentityUnavailable,
    TenantRefused,
    TokenExpired,
    TokenInvalid,
    TokenRevoked,
    UserNotFound,
    check_uid,
)
from shared.users.principal import Principal
from shared.users.roles import known_roles


@dataclass(frozen=True, slots=True, kw_only=True)
class _IssuedToken:
    principal: Principal
    tenant: str | None
    issued_at: Millis
    expires_at: Millis


class MemoryIdentity:
    """Users and tokens of one project. A token states the facts at its time of issue, as Firebase's tokens do."""

    def __init__(self, clock: Clock, tenants: Collection[str] = ()) -> None:
        self._clock = clock
        self._tenants = frozenset(tenants)
        self.is_down = False
        self.looked_up: list[Uid] = []
        self._lock = threading.Lock()
        self._users: dict[Uid, AuthUser] = {}
        self._claims: dict[Uid, Mapping[str, object]] = {}
        self._anonymous: set[Uid] = set()
        self._tenant_of: dict[Uid, str] = {}
        self._revoked: dict[Uid, Millis] = {}
        self._tokens: dict[str, _IssuedToken] = {}
        self._app_tokens: dict[str, str] = {}

    def sign_up(
        self,
        email: str | None = None,
        *,
        uid: str | None = None,
        name: str | None = None,
        phone: str | None = None,
        is_email_verified: bool = True,
        claims: Mapping[str, object] | None = None,
        tenant: str | None = None,
    ) -> Uid:
        """Create a user, and return the uid. Without email and phone, the user is anonymous.

        `tenant`: None for a user of the project itself.
        """
        user = Uid(uid or secrets.token_urlsafe(21))
        with self._lock:
            if tenant is not None:
                self._tenant_of[user] = tenant
            self._claims[user] = dict(claims or {})
            if email is None and phone is None:
                self._anonymous.add(user)
            self._users[user] = AuthUser(
                uid=user,
                email=email,
                is_email_verified=email is not None and is_email_verified,
                phone=phone,
                name=name,
                roles=known_roles(self._claims[user].get("roles")),
                created_at=self._clock.now(),
            )
        return user

    def link_email(self, uid: Uid, email: str, *, is_email_verified: bool = True) -> None:
        """Link an address to a user, as linking a provider does. The uid stays; the user is no longer anonymous."""
        with self._lock:
            self._anonymous.discard(uid)
            self._users[uid] = replace(self._users[uid], email=email, is_email_verified=is_email_verified)

    def token(self, uid: Uid, *, lifetime: Millis = HOUR, signed_in_at: Millis | None = None) -> str:
        """Issue an ID token with the user's present data. `lifetime` in ms. `signed_in_at`: None for now."""
        with self._lock:
            user = self._users[uid]
            token = secrets.token_urlsafe(32)
            self._tokens[token] = _IssuedToken(
                principal=Principal(
                    uid=uid,
                    email=user.email,
                    is_email_verified=user.is_email_verified,
                    phone=user.phone,
                    is_anonymous=uid in self._anonymous,
                    roles=user.roles,
                    name=user.name,
                    signed_in_at=self._clock.now() if signed_in_at is None else signed_in_at,
                ),
                tenant=self._tenant_of.get(uid),
                issued_at=self._clock.now(),
                expires_at=self._clock.now() + lifetime,
            )
            return token

    def app_check_token(self, app_id: str = "app") -> str:
        """Issue an App Check token for `app_id`."""
        token = secrets.token_urlsafe(16)
        self._app_tokens[token] = app_id
        return token

    def revoke(self, uid: Uid) -> None:
        """Revoke all earlier tokens of the user."""
        self._revoked[uid] = self._clock.now()

    def disable(self, uid: Uid, *, is_disabled: bool = True) -> None:
        """Lock the user out of signing in, or let the user in again."""
        self.set_disabled(uid, is_disabled=is_disabled)

    def claims(self, uid: Uid) -> Mapping[str, object]:
        """Return the user's custom claims."""
        return self._claims[uid]

    def verify(self, token: str, *, is_fresh: bool = False) -> Principal:
        """Return the principal of an ID token; see `Identity.verify`."""
        issued = self._tokens.get(token)
        if issued is None:
            raise TokenInvalid
        if issued.tenant is not None and issued.tenant not in self._tenants:
            raise TenantRefused
        if self._clock.now() >= issued.expires_at:
            raise TokenExpired
        if is_fresh and not self._still_stands(issued):
            raise TokenRevoked
        check_uid(issued.principal.uid)
        return issued.principal

    def _still_stands(self, issued: _IssuedToken) -> bool:
        user = self._users.get(issued.principal.uid)
        revoked_at = self._revoked.get(issued.principal.uid)
        return user is not None and not user.is_disabled and (revoked_at is None or issued.issued_at >= revoked_at)

    def verify_app_check(self, token: str) -> str:
        """Return the id of the app that the App Check token was issued to; see `Identity.verify_app_check`."""
        if token not in self._app_tokens:
            raise AppCheckFailed
        return self._app_tokens[token]

    def get_user(self, uid: Uid) -> AuthUser:
        """Return the user; see `Identity.get_user`.

        `looked_up` records each uid. While `is_down`, raises IdentityUnavailable.
        """
        self.looked_up.append(uid)
        if self.is_down:
            raise IdentityUnavailable
        if uid not in self._users:
            raise UserNotFound
        return self._users[uid]

    def find_by_email(self, email: str) -> AuthUser | None:
        """Return the user who signs in with exactly this address, or None; see `Identity.find_by_email`."""
        wanted = email.lower()
        with self._lock:
            return next((user for user in self._users.values() if (user.email or "").lower() == wanted), None)

    def existing(self, uids: Collection[Uid]) -> frozenset[Uid]:
        """Return the uids among these (at most 100) whose users exist; see `Identity.existing`."""
        return frozenset(uid for uid in uids if uid in self._users)

    def get_users(self, uids: Collection[Uid]) -> Mapping[Uid, AuthUser]:
        """Return those among these users (at most 100) who exist; see `Identity.get_users`."""
        return {uid: self._users[uid] for uid in uids if uid in self._users}

    def with_role(self, role: str) -> Iterator[AuthUser]:
        """Yield all users who hold `role`; see `Identity.with_role`."""
        with self._lock:
            found = [user for user in self._users.values() if role in user.roles]
        yield from found

    def set_roles(self, uid: Uid, roles: frozenset[str]) -> None:
        """Replace the `roles` claim and keep the other claims; see `Identity.set_roles`."""
        with self._lock:
            self._require(uid)
            self._claims[uid] = {**self._claims[uid], "roles": sorted(roles)}
            self._users[uid] = replace(self._users[uid], roles=roles)

    def sign_out(self, uid: Uid) -> None:
        """Revoke all refresh tokens of the user; see `Identity.sign_out`."""
        with self._lock:
            self._require(uid)
            self._revoked[uid] = self._clock.now()
            self._users[uid] = replace(self._users[uid], tokens_valid_after=self._clock.now())

    def set_disabled(self, uid: Uid, *, is_disabled: bool) -> None:
        """Lock the user out of signing in, or let the user in again; see `Identity.set_disabled`."""
        with self._lock:
            self._require(uid)
            self._users[uid] = replace(self._users[uid], is_disabled=is_disabled)

    def _require(self, uid: Uid) -> None:
        if uid not in self._users:
            raise UserNotFound

    def delete_user(self, uid: Uid) -> None:
        """Remove the user; see `Identity.delete_user`."""
        with self._lock:
            self._users.pop(uid, None)
            self._claims.pop(uid, None)

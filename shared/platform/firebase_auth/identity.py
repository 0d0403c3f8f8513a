"""Firebase Auth as the identity provider: ID tokens, App Check tokens, users and their roles."""

import base64
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import jwt
from firebase_admin import app_check, auth
from firebase_admin.exceptions import FirebaseError, InvalidArgumentError
from google.auth.exceptions import GoogleAuthError

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.errors import DomainError, InvalidValue
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.platform.firebase_auth.app import firebase_app, is_emulated
from shared.users.ports import (
    TOKEN_BYTES_MAX,
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

ISSUER = "https://securetoken.google.com/"
CLOCK_SKEW_SECONDS = 5
REMEMBERED_MAX = 4_096
SEGMENTS = 3


class FirebaseIdentity:
    """Firebase Auth as `Identity`. A verified token is cached until its expiry, so that a repetition costs one hash.

    Users are in the project's own directory, and in the directories of the `tenants` that the settings name. A uid
    names one account across all directories.
    """

    def __init__(self, project: str, clock: Clock, tenants: Collection[str] = ()) -> None:
        self._project = project
        self._clock = clock
        self._tenants = frozenset(tenants)
        self._lock = threading.Lock()
        self._remembered: OrderedDict[bytes, tuple[Principal, Millis]] = OrderedDict()

    def verify(self, token: str, *, is_fresh: bool = False) -> Principal:
        """Return the principal of an ID token; see `Identity.verify`."""
        tenant = tenant_of(check_shape(token))
        if tenant is not None and tenant not in self._tenants:
            raise TenantRefused
        key = hashlib.sha256(token.encode()).digest()
        if not is_fresh and (known := self._known(key)) is not None:
            return known
        claims = self._verified(token, tenant, is_fresh=is_fresh)
        expires_at = self._checked(claims)
        principal = principal_of(claims)
        self._remember(key, principal, expires_at)
        return principal

    def verify_app_check(self, token: str) -> str:
        """Return the id of the app that the App Check token was issued to; see `Identity.verify_app_check`."""
        if not token or len(token) > TOKEN_BYTES_MAX or not token.isascii():
            raise AppCheckFailed
        if is_emulated() and token.endswith("."):
            return laptop_app(token, self._project, self._clock.now())
        try:
            claims = app_check.verify_token(token, firebase_app(self._project))
        except jwt.exceptions.PyJWKClientConnectionError as error:
            raise IdentityUnavailable from error
        except (ValueError, TypeError, KeyError, jwt.exceptions.PyJWTError) as error:
            raise AppCheckFailed from error
        return str(claims["app_id"])

    def get_user(self, uid: Uid) -> AuthUser:
        """Return the user; see `Identity.get_user`."""
        with _translated():
            return _user(self._found(uid)[1])

    def find_by_email(self, email: str) -> AuthUser | None:
        """Return the user who signs in with exactly this address, or None; see `Identity.find_by_email`."""
        for directory in self._directories:
            try:
                with _translated():
                    return _user(directory.get_user_by_email(email))
            except UserNotFound:
                continue
        return None

    def existing(self, uids: Collection[Uid]) -> frozenset[Uid]:
        """Return the uids among these (at most 100) whose users exist; see `Identity.existing`."""
        return frozenset(self.get_users(uids))

    def get_users(self, uids: Collection[Uid]) -> Mapping[Uid, AuthUser]:
        """Return those among these users (at most 100) who exist; see `Identity.get_users`."""
        if not uids:
            return {}
        wanted = [auth.UidIdentifier(uid) for uid in uids]
        with _translated():
            found = [directory.get_users(wanted).users for directory in self._directories]
        return {Uid(record.uid): _user(record) for records in found for record in records}

    def with_role(self, role: str) -> Iterator[AuthUser]:
        """Yield all users who hold `role`; see `Identity.with_role`."""
        with _translated():
            for directory in self._directories:
                for record in directory.list_users().iterate_all():
                    user = _user(record)
                    if role in user.roles:
                        yield user

    def set_roles(self, uid: Uid, roles: frozenset[str]) -> None:
        """Replace the `roles` claim and keep the other claims; see `Identity.set_roles`."""
        with _translated():
            directory, record = self._found(uid)
        claims = dict(record.custom_claims or {})
        too_many = InvalidValue("roles", "must fit beside the user's other custom claims")
        with _translated(malformed=too_many):
            directory.set_custom_user_claims(uid, {**claims, "roles": sorted(roles)})

    def sign_out(self, uid: Uid) -> None:
        """Revoke all refresh tokens of the user; see `Identity.sign_out`."""
        with _translated():
            self._found(uid)[0].revoke_refresh_tokens(uid)

    def set_disabled(self, uid: Uid, *, is_disabled: bool) -> None:
        """Lock the user out of signing in, or let the user in again; see `Identity.set_disabled`."""
        with _translated():
            self._found(uid)[0].update_user(uid, disabled=is_disabled)

    def delete_user(self, uid: Uid) -> None:
        """Remove the user; see `Identity.delete_user`."""
        try:
            with _translated():
                self._found(uid)[0].delete_user(uid)
        except UserNotFound:
            log("login_was_gone", uid=uid)

    @cached_property
    def _directories(self) -> tuple[Any, ...]:
        """Return the directories: the project's users, then the users of each tenant."""
        app = firebase_app(self._project)
        return (auth.Client(app), *(self._of_tenant(tenant) for tenant in sorted(self._tenants)))

    def _of_tenant(self, tenant: str) -> Any:
        from firebase_admin import tenant_mgt

        return tenant_mgt.auth_for_tenant(tenant, firebase_app(self._project))

    def _found(self, uid: Uid) -> tuple[Any, Any]:
        """Return the directory that knows this uid, and the user's record. Raises UserNotFound."""
        for directory in self._directories:
            try:
                return directory, directory.get_user(uid)
            except auth.UserNotFoundError:
                continue
        raise UserNotFound

    def _verified(self, token: str, tenant: str | None, *, is_fresh: bool) -> Mapping[str, Any]:
        """Return the claims of an ID token of this tenant, or of the project if `tenant` is None.

        `is_fresh`: also ask Firebase whether the token was revoked. Raises TokenExpired, TokenRevoked, TokenInvalid and
        IdentityUnavailable.
        """
        verifier = auth if tenant is None else self._of_tenant(tenant)
        app = {"app": firebase_app(self._project)} if tenant is None else {}
        try:
            claims: Mapping[str, Any] = verifier.verify_id_token(
                token, check_revoked=is_fresh, clock_skew_seconds=CLOCK_SKEW_SECONDS, **app
            )
        except auth.ExpiredIdTokenError as error:
            raise TokenExpired from error
        except (auth.RevokedIdTokenError, auth.UserDisabledError, auth.UserNotFoundError) as error:
            raise TokenRevoked from error
        except auth.InvalidIdTokenError as error:
            raise TokenInvalid from error
        except (auth.CertificateFetchError, FirebaseError, GoogleAuthError) as error:
            log("identity_unavailable", "ERROR", error=type(error).__name__)
            raise IdentityUnavailable from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise TokenInvalid from error
        return claims

    def _checked(self, claims: Mapping[str, Any]) -> Millis:
        """Check the claims, and return the token's expiry in ms. Raises TokenInvalid, TokenExpired.

        All claims are checked here, since the emulator's tokens are unsigned and accepted unverified.
        """
        now = self._clock.now()
        expires_at, issued_at = claims.get("exp"), claims.get("iat")
        is_ours = claims.get("aud") == self._project and claims.get("iss") == f"{ISSUER}{self._project}"
        if not is_ours or type(expires_at) is not int or type(issued_at) is not int:
            raise TokenInvalid
        if issued_at * SECOND > now + CLOCK_SKEW_SECONDS * SECOND:
            raise TokenInvalid
        if expires_at * SECOND <= now - CLOCK_SKEW_SECONDS * SECOND:
            raise TokenExpired
        check_uid(claims.get("sub"))
        return expires_at * SECOND

    def _known(self, key: bytes) -> Principal | None:
        with self._lock:
            principal, expires_at = self._remembered.get(key, (None, 0))
        return principal if self._clock.now() < expires_at else None

    def _remember(self, key: bytes, principal: Principal, expires_at: Millis) -> None:
        with self._lock:
            self._remembered[key] = (principal, expires_at)
            while len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)


def check_shape(token: str) -> Mapping[str, Any]:
    """Return the unverified claims. Raises TokenInvalid if the token is not a JWT that the library can read."""
    if len(token) > TOKEN_BYTES_MAX or not token.isascii():
        raise TokenInvalid
    segments = token.split(".")
    if len(segments) != SEGMENTS:
        raise TokenInvalid
    header, claims = (_json_object(segment) for segment in segments[:2])
    if not isinstance(header.get("kid", ""), str):
        raise TokenInvalid
    return claims


def laptop_app(token: str, project: str, now: Millis) -> str:
    """Return the app of an unsigned App Check token for this project. Raises AppCheckFailed.

    No emulator issues App Check tokens. Like a token of the Auth emulator, such a token proves nothing. With such
    tokens, an app can be tried on a laptop from end to end.
    """
    try:
        claims = check_shape(token)
    except TokenInvalid as error:
        raise AppCheckFailed from error
    ends, app_id = claims.get("exp"), claims.get("sub")
    is_running = type(ends) is int and ends * SECOND > now
    if claims.get("aud") != [f"projects/{project}"] or not is_running or not isinstance(app_id, str) or not app_id:
        raise AppCheckFailed
    return app_id


def tenant_of(claims: Mapping[str, Any]) -> str | None:
    """Return the Identity Platform tenant that the claims name; None for a user of the project itself."""
    firebase = claims.get("firebase")
    tenant = firebase.get("tenant") if isinstance(firebase, Mapping) else None
    return None if tenant is None else str(tenant)


def principal_of(claims: Mapping[str, Any]) -> Principal:
    """Return the caller that verified claims describe."""
    firebase = claims.get("firebase")
    provider = firebase.get("sign_in_provider") if isinstance(firebase, Mapping) else None
    email = _text(claims.get("email"))
    return Principal(
        uid=Uid(claims["sub"]),
        email=email,
        is_email_verified=email is not None and claims.get("email_verified") is True,
        phone=_text(claims.get("phone_number")),
        is_anonymous=provider == "anonymous",
        roles=known_roles(claims.get("roles")),
        name=_text(claims.get("name")),
        signed_in_at=_signed_in_at(claims.get("auth_time")),
    )


def _signed_in_at(stated: object) -> Millis | None:
    return stated * SECOND if type(stated) is int else None


def _json_object(segment: str) -> Mapping[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError) as error:
        raise TokenInvalid from error
    if not isinstance(value, dict):
        raise TokenInvalid
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _user(record: Any) -> AuthUser:
    return AuthUser(
        uid=Uid(record.uid),
        email=record.email,
        is_email_verified=bool(record.email_verified),
        phone=record.phone_number,
        name=record.display_name,
        roles=known_roles((record.custom_claims or {}).get("roles")),
        is_disabled=bool(record.disabled),
        created_at=record.user_metadata.creation_timestamp,
        sign_in_ways=tuple(sorted(way.provider_id for way in record.provider_data or ())),
        signed_in_at=record.user_metadata.last_sign_in_timestamp,
        tokens_valid_after=record.tokens_valid_after_timestamp,
    )


@contextmanager
def _translated(malformed: DomainError | None = None) -> Iterator[None]:
    """Raise Firebase's errors as errors of our port.

    A malformed argument raises `malformed`. The default is UserNotFound, as nobody has a malformed uid or address.
    """
    try:
        yield
    except auth.UserNotFoundError as error:
        raise UserNotFound from error
    except (InvalidArgumentError, ValueError) as error:
        raise malformed or UserNotFound() from error
    except (FirebaseError, GoogleAuthError) as error:
        log("identity_unavailable", "ERROR", error=type(error).__name__)
        raise IdentityUnavailable from error

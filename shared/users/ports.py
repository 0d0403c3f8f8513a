"""Port to an identity provider: verified tokens, users, roles, and the errors of a credential."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.kernel.clock import Millis
from shared.kernel.errors import Forbidden, NotFound, Rejected, Unavailable
from shared.kernel.ids import UID_CHARS_MAX, Uid, is_uid
from shared.users.principal import Principal

TOKEN_BYTES_MAX = 8 * 1024
IDENTITY_TIMEOUT_SECONDS = 10


class Unauthenticated(Rejected):
    """Error for a caller without a valid credential."""

    code = "unauthenticated"


class TokenInvalid(Unauthenticated):
    """Error for a token that is not of this project: malformed, forged, or another project's."""

    code = "token_invalid"

    def __init__(self, detail: str = "The token is not valid here.") -> None:
        super().__init__(detail)


class TokenExpired(Unauthenticated):
    """Error for a token that was valid but has expired. The user must sign in or refresh."""

    code = "token_expired"

    def __init__(self) -> None:
        super().__init__("The token has expired.")


class TokenRevoked(Unauthenticated):
    """Error for a token whose user signed out everywhere, was disabled, or is gone."""

    code = "token_revoked"

    def __init__(self) -> None:
        super().__init__("The token was revoked.")


class TenantRefused(TokenInvalid):
    """Error for a token of an Identity Platform tenant that the settings do not name."""

    def __init__(self) -> None:
        super().__init__("Tokens of this tenant are not accepted here.")


class UidNotSupported(Forbidden):
    """Error for a valid token whose uid cannot name a document in Firestore: `a/b`, `.`, `..`, `__x__`."""

    code = "uid_not_supported"

    def __init__(self) -> None:
        super().__init__(
            "This user id cannot be used here: it holds a slash, or is '.', '..' or of the form '__id__'. "
            "Sign in with an account that has another id."
        )


class AppCheckFailed(Unauthenticated):
    """Error for a request that does not prove to come from our app."""

    code = "app_check_failed"

    def __init__(self) -> None:
        super().__init__("The App Check token is missing or not valid.")


class UserNotFound(NotFound):
    """Error for a user that the identity provider does not know."""

    code = "user_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such user.")


class IdentityUnavailable(Unavailable):
    """Error for an identity provider, or certificates of the provider, that could not be reached."""

    code = "identity_unavailable"

    def __init__(self) -> None:
        super().__init__("The identity provider could not be reached.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthUser:
    """User as the identity provider has them now, not as an earlier token stated. A field is None if unknown there."""

    uid: Uid
    email: str | None = None
    is_email_verified: bool = False
    phone: str | None = None
    name: str | None = None
    roles: frozenset[str] = frozenset()
    is_disabled: bool = False
    created_at: Millis | None = None
    sign_in_ways: tuple[str, ...] = ()
    """Names of the providers by which the user signs in, such as `password` or `google.com`."""
    signed_in_at: Millis | None = None
    tokens_valid_after: Millis | None = None
    """Time before which refresh tokens were issued that do not count any more."""


class DomainLists(Protocol):
    """Public lists of mail domains. Domains are lower-case ASCII. No call leaves the process."""

    def registrable(self, domain: str) -> str:
        """Return the part of `domain` that somebody registered: `a.b.example.co.uk` → `example.co.uk`.

        A domain without such a part is returned unchanged.
        """
        ...

    def is_disposable(self, domain: str) -> bool:
        """Return True if `domain`, or a domain above it, gives out throw-away addresses."""
        ...


def check_uid(subject: object) -> Uid:
    """Return the uid that a verified token names. Raises TokenInvalid if there is no uid, and UidNotSupported."""
    if not isinstance(subject, str) or not 1 <= len(subject) <= UID_CHARS_MAX:
        raise TokenInvalid
    if not is_uid(subject):
        raise UidNotSupported
    return Uid(subject)


class Identity(Protocol):
    """Firebase Auth as seen from this code. Every call may raise IdentityUnavailable."""

    def verify(self, token: str, *, is_fresh: bool = False) -> Principal:
        """Return the principal of an ID token. Raises TokenInvalid, TenantRefused, TokenExpired.

        Raises TenantRefused, a TokenInvalid, for a tenant that is not set. Raises UidNotSupported for a valid token
        whose uid cannot name a document.

        With `is_fresh`, the provider is also asked whether the token is still valid, in one round trip. Raises
        TokenRevoked.
        """
        ...

    def verify_app_check(self, token: str) -> str:
        """Return the id of the app that the App Check token was issued to. Raises AppCheckFailed."""
        ...

    def get_user(self, uid: Uid) -> AuthUser:
        """Return the user. Raises UserNotFound."""
        ...

    def find_by_email(self, email: str) -> AuthUser | None:
        """Return the user who signs in with exactly this address, or None."""
        ...

    def existing(self, uids: Collection[Uid]) -> frozenset[Uid]:
        """Return the uids among these (at most 100) whose users exist."""
        ...

    def get_users(self, uids: Collection[Uid]) -> Mapping[Uid, AuthUser]:
        """Return those among these users (at most 100) who exist, in one round trip."""
        ...

    def with_role(self, role: str) -> Iterator[AuthUser]:
        """Yield all users who hold `role`. The call walks all users: for commands, not for requests."""
        ...

    def set_roles(self, uid: Uid, roles: frozenset[str]) -> None:
        """Replace the `roles` claim and keep the other claims. Tokens change once refreshed. Raises UserNotFound."""
        ...

    def sign_out(self, uid: Uid) -> None:
        """Revoke all refresh tokens of the user. Raises UserNotFound.

        ID tokens end with their life of an hour; calls with `is_fresh` refuse them at once.
        """
        ...

    def set_disabled(self, uid: Uid, *, is_disabled: bool) -> None:
        """Lock the user out of signing in, or let the user in again. Raises UserNotFound."""
        ...

    def delete_user(self, uid: Uid) -> None:
        """Remove the user. If the user is gone already, do nothing."""
        ...

"""What the domain asks of an identity provider, and what can go wrong with a credential."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from shared.kernel.clock import Millis
from shared.kernel.errors import Forbidden, NotFound, Rejected, Unavailable
from shared.kernel.ids import UID_CHARS_MAX, Uid, is_uid
from shared.users.principal import Principal

TOKEN_BYTES_MAX = 8 * 1024
IDENTITY_TIMEOUT_SECONDS = 10


class Unauthenticated(Rejected):
    """The caller did not show who they are."""

    code = "unauthenticated"


class TokenInvalid(Unauthenticated):
    """Not a token of this project: malformed, forged, or another project's."""

    code = "token_invalid"

    def __init__(self, detail: str = "The token is not valid here.") -> None:
        super().__init__(detail)


class TokenExpired(Unauthenticated):
    """It was good once; sign in or refresh."""

    code = "token_expired"

    def __init__(self) -> None:
        super().__init__("The token has expired.")


class TokenRevoked(Unauthenticated):
    """The user signed out everywhere, was disabled, or is gone."""

    code = "token_revoked"

    def __init__(self) -> None:
        super().__init__("The token was revoked.")


class TenantRefused(TokenInvalid):
    """The token is of an Identity Platform tenant that the settings do not name."""

    def __init__(self) -> None:
        super().__init__("Tokens of this tenant are not accepted here.")


class UidNotSupported(Forbidden):
    """The token is valid, and Firestore cannot name a document by its uid: `a/b`, `.`, `..`, `__x__`."""

    code = "uid_not_supported"

    def __init__(self) -> None:
        super().__init__(
            "This user id cannot be used here: it holds a slash, or is '.', '..' or of the form '__id__'. "
            "Sign in with an account that has another id."
        )


class AppCheckFailed(Unauthenticated):
    """The request does not prove that it comes from our app."""

    code = "app_check_failed"

    def __init__(self) -> None:
        super().__init__("The App Check token is missing or not valid.")


class UserNotFound(NotFound):
    """The identity provider knows no such user."""

    code = "user_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such user.")


class IdentityUnavailable(Unavailable):
    """The identity provider, or its certificates, could not be reached."""

    code = "identity_unavailable"

    def __init__(self) -> None:
        super().__init__("The identity provider could not be reached.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthUser:
    """A user as the identity provider has them now, not as some token once said."""

    uid: Uid
    email: str | None = None
    is_email_verified: bool = False
    phone: str | None = None
    name: str | None = None
    roles: frozenset[str] = frozenset()
    is_disabled: bool = False
    created_at: Millis | None = None


class DomainLists(Protocol):
    """What is publicly known of mail domains, which are lower-case ASCII. Asks nobody."""

    def registrable(self, domain: str) -> str:
        """Return the part of `domain` that somebody registered: `a.b.example.co.uk` → `example.co.uk`.

        A domain without such a part comes back as it is.
        """
        ...

    def is_disposable(self, domain: str) -> bool:
        """True if `domain`, or a domain above it, gives out throw-away addresses."""
        ...


def check_uid(subject: object) -> Uid:
    """Return the uid that a verified token names. Raises TokenInvalid for no uid at all, UidNotSupported."""
    if not isinstance(subject, str) or not 1 <= len(subject) <= UID_CHARS_MAX:
        raise TokenInvalid
    if not is_uid(subject):
        raise UidNotSupported
    return Uid(subject)


class Identity(Protocol):
    """Firebase Auth as our code sees it. Every call may raise IdentityUnavailable."""

    def verify(self, token: str, *, is_fresh: bool = False) -> Principal:
        """Whose ID token this is. Raises TokenInvalid (TenantRefused for a tenant that is not set), TokenExpired.

        Raises UidNotSupported for a valid token whose uid no document can be named by.

        With `is_fresh` it also asks the provider whether the token still stands, one round trip. Raises TokenRevoked.
        """
        ...

    def verify_app_check(self, token: str) -> str:
        """The id of the app that the App Check token was issued to. Raises AppCheckFailed."""
        ...

    def get_user(self, uid: Uid) -> AuthUser:
        """Raises UserNotFound."""
        ...

    def find_by_email(self, email: str) -> AuthUser | None:
        """The user who signs in with exactly this address."""
        ...

    def existing(self, uids: Collection[Uid]) -> frozenset[Uid]:
        """Which of these users (at most 100) there are."""
        ...

    def with_role(self, role: str) -> Iterator[AuthUser]:
        """Everybody who holds `role`. Walks all users: for commands, not for requests."""
        ...

    def set_roles(self, uid: Uid, roles: frozenset[str]) -> None:
        """Replace the `roles` claim and keep the others; tokens say so once refreshed. Raises UserNotFound."""
        ...

    def delete_user(self, uid: Uid) -> None:
        """Remove the user; one who is gone already counts as removed."""
        ...

"""Lists of users for operators: profiles with logins and balances, a page in few round trips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.kernel.clock import Millis
from shared.kernel.documents import Document, Documents
from shared.kernel.ids import Uid, is_uid
from shared.kernel.money import parse_credits
from shared.kernel.pages import Page
from shared.users.ports import AuthUser, Identity
from shared.users.profiles import Profile, readable_profile
from shared.users.user_queries import NO_DEBT, UserFilter, source_of, user_query

USERS_PAGE_MAX = 100
CANDIDATES_MAX = 100
"""Most users that are read for a page. A page may have fewer users, or none, and a next page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBalance:
    """Balance as the account shows it: decimal strings of credits, not verified."""

    available: str
    held: str
    total: str
    debt: str


NOTHING_SHOWN = ShownBalance(available="0", held="0", total="0", debt="0")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """User in a list: the login, the profile and the shown balance. A field is None if unknown.

    `seen_at` is the time of the first call, by which users are filtered; `created_at` that of the sign-up.
    """

    uid: Uid
    email: str | None
    display_name: str | None
    roles: frozenset[str]
    is_disabled: bool
    status: str
    created_at: Millis | None
    seen_at: Millis | None
    balance: ShownBalance


class UserList:
    """Lists users by one query, one read of the other documents, and one question to the identity provider."""

    def __init__(self, documents: Documents, identity: Identity) -> None:
        self._documents = documents
        self._identity = identity

    def page(self, wanted: UserFilter, *, cursor: str | None, limit: int) -> Page[UserRow]:
        """Return the next users that meet all conditions, at most `limit`, of at most CANDIDATES_MAX candidates.

        Raises InvalidValue for a cursor of another list.
        """
        if wanted.uid is not None:
            return Page(items=self._rows([wanted.uid], wanted), next_cursor=None)
        source, size = source_of(wanted), max(1, min(limit, USERS_PAGE_MAX))
        candidates = size if wanted.is_simple else CANDIDATES_MAX
        found = self._documents.query(user_query(source, cursor, candidates + 1))
        rows = {row.uid: row for row in self._rows([Uid(each.id) for each in found[:candidates]], wanted)}
        read = _read_for(found[:candidates], rows, size)
        items = tuple(rows[Uid(each.id)] for each in read if Uid(each.id) in rows)
        next_cursor = source.cursor(read[-1]) if len(read) < len(found) else None
        return Page(items=(*self._unseen(wanted, cursor, rows), *items), next_cursor=next_cursor)

    def _unseen(self, wanted: UserFilter, cursor: str | None, rows: Mapping[Uid, UserRow]) -> tuple[UserRow, ...]:
        """Return the user who signs in with exactly this address and is not among the rows, such as a user without a
        profile.
        """
        if cursor is not None or wanted.email is None or "@" not in wanted.email:
            return ()
        login = self._identity.find_by_email(wanted.email)
        return () if login is None or login.uid in rows else self._rows([login.uid], wanted)

    def _rows(self, uids: Sequence[Uid], wanted: UserFilter) -> tuple[UserRow, ...]:
        """Return those of these users who meet the conditions, in order."""
        named = [uid for uid in uids if is_uid(uid)]
        if not named:
            return ()
        paths = [f"{kind}/{uid}" for kind in ("users", "accounts") for uid in named]
        documents, logins = self._documents.get_all(paths), self._identity.get_users(named)
        both = zip(named, documents[: len(named)], documents[len(named) :], strict=True)
        rows = (_row(uid, logins.get(uid), profile, account) for uid, profile, account in both)
        return tuple(row for row in rows if row is not None and _meets(row, wanted))


def _read_for(found: Sequence[Document], rows: Mapping[Uid, UserRow], size: int) -> Sequence[Document]:
    """Return the first candidates, up to the one that fills a page of `size` rows."""
    filled = 0
    for at, each in enumerate(found, 1):
        filled += Uid(each.id) in rows
        if filled == size:
            return found[:at]
    return found


def _row(uid: Uid, login: AuthUser | None, stored: Document | None, account: Document | None) -> UserRow | None:
    """Return the row of a user; None for a user that neither the login nor the profile knows."""
    profile = None if stored is None else readable_profile(stored)
    if profile is None and login is None:
        return None
    return UserRow(
        uid=uid,
        email=(login.email if login else None) or (profile.email if profile else None),
        display_name=(login.name if login else None) or (profile.display_name if profile else None),
        roles=login.roles if login else frozenset(),
        is_disabled=login.is_disabled if login else False,
        status=_status(profile, account),
        created_at=(login.created_at if login else None) or (profile.created_at if profile else None),
        seen_at=profile.created_at if profile else None,
        balance=_shown(account),
    )


def _status(profile: Profile | None, account: Document | None) -> str:
    if profile is not None and profile.is_closed:
        return "closed"
    return "open" if account is None else str(account.data.get("status", "open"))


def _shown(account: Document | None) -> ShownBalance:
    """Return what an account shows. Accounts of the old form show nothing until their next entry."""
    if account is None or not isinstance(account.data.get("debt"), str):
        return NOTHING_SHOWN
    told = {name: str(account.data.get(name, "0")) for name in ("available", "held", "total", "debt")}
    return ShownBalance(**told)


def _meets(row: UserRow, wanted: UserFilter) -> bool:
    """Return True if the row meets all conditions."""
    debt = 0 if row.balance.debt == NO_DEBT else parse_credits(row.balance.debt)
    address = (wanted.email or "").strip().lower()
    seen_at = row.seen_at
    conditions = (
        (row.email or "").lower().startswith(address),
        wanted.role is None or wanted.role in row.roles,
        wanted.status is None or wanted.status == row.status,
        wanted.is_in_debt is None or wanted.is_in_debt == (debt > 0),
        wanted.debt_min is None or debt >= wanted.debt_min,
        wanted.first is None or (seen_at is not None and seen_at >= wanted.first),
        wanted.last is None or (seen_at is not None and seen_at < wanted.last),
    )
    return all(conditions)

"""Profiles: the stored facts of a person, at `users/{uid}`, and the tombstone that stays after the person leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from shared.kernel.clock import Clock, Millis, from_datetime, to_datetime
from shared.kernel.documents import (
    Create,
    Data,
    Document,
    Documents,
    Patch,
    PreconditionFailed,
    Put,
    Query,
    Value,
    Write,
)
from shared.kernel.events import log_error
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.users.principal import Principal
from shared.users.roles import known_roles
from shared.users.sign_ups import SignUpBook

WRITE_ATTEMPTS_MAX = 5

ProfileStatus = Literal["active", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """User as stored; times in ms, `welcome_offer` in µcr.

    A field is None if unknown, or if the event has not happened yet.

    A closed profile is a tombstone: only `uid`, `status` and `closed_at` are left.
    """

    uid: Uid
    status: ProfileStatus
    email: str | None = None
    is_email_verified: bool = False
    display_name: str | None = None
    is_anonymous: bool = False
    roles: frozenset[str] = frozenset()
    """Roles that the user may have. The login decides which the user has."""
    is_disabled: bool = False
    created_at: Millis | None = None
    greeted_at: Millis | None = None
    welcome_offer: Micro | None = None
    welcome_claimed_at: Millis | None = None
    closed_at: Millis | None = None

    @property
    def is_closed(self) -> bool:
        """Return True if the user has left, for ever."""
        return self.status == "closed"


class Profiles:
    """Repository of the documents `users/{uid}`. Times are stored as timestamps."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._sign_ups = SignUpBook(documents)

    def get(self, uid: Uid) -> Profile | None:
        """Return the user's profile or tombstone; None for a user who has never called the API."""
        document = self._documents.get(_path(uid))
        return None if document is None else profile_of(document)

    def ensure(self, principal: Principal) -> Profile:
        """Return the profile of a verified caller.

        Create the profile at the first call, and update it from newer tokens.
        """
        for _ in range(WRITE_ATTEMPTS_MAX):
            document = self._documents.get(_path(principal.uid))
            try:
                if document is None:
                    return self._create(principal)
                return self._refresh(document, principal)
            except PreconditionFailed:
                continue
        raise PreconditionFailed

    def greeted(self, uid: Uid, offer: Micro | None) -> bool:
        """Store that the user was greeted, with the offered bonus (µcr), and count the sign-up in the same commit.

        Return False if that is stored already, or the user left.
        """
        return self._change(uid, "greeted_at", {} if offer is None else {"welcome_offer": offer}, self._sign_up)

    def _sign_up(self, document: Document) -> Sequence[Write]:
        """Return the write that counts the sign-up of a profile. Profiles of the first releases have no time."""
        created = document.data.get("created_at")
        if not isinstance(created, datetime):
            return ()
        is_anonymous = document.data.get("is_anonymous") is True
        return (self._sign_ups.one_more(Uid(document.id), created, is_anonymous=is_anonymous),)

    def claimed(self, uid: Uid) -> bool:
        """Store that the user has claimed the welcome bonus.

        Return False if that is stored already, or the user left.
        """
        return self._change(uid, "welcome_claimed_at", {})

    def set_roles(self, uid: Uid, roles: frozenset[str]) -> None:
        """Store the roles by which a list of users finds this user. Without an active profile, do nothing."""
        self._patch(uid, {"roles": sorted(roles)})

    def set_disabled(self, uid: Uid, *, is_disabled: bool) -> None:
        """Store whether the user is barred from all calls. Without an active profile, do nothing."""
        self._patch(uid, {"is_disabled": is_disabled})

    def erase(self, uid: Uid) -> None:
        """Replace the user's profile, if there is one, by a tombstone. A second call changes nothing."""
        for _ in range(WRITE_ATTEMPTS_MAX):
            document = self._documents.get(_path(uid))
            if document is not None and profile_of(document).is_closed:
                return
            try:
                self._documents.commit([self._tombstone(uid, document)])
                return
            except PreconditionFailed:
                continue
        raise PreconditionFailed

    def page(self, *, after: Uid | None, limit: int) -> tuple[list[Profile], Uid | None]:
        """Return profiles and tombstones in the order of their ids, and the uid before the next page, None at the end.

        A profile that this release cannot read is logged and left out.
        """
        start = None if after is None else (_path(after),)
        found = self._documents.query(Query(collection="users", limit=limit, after=start))
        profiles = [profile for profile in map(readable_profile, found) if profile is not None]
        return profiles, Uid(found[-1].id) if len(found) == limit else None

    def _patch(self, uid: Uid, fields: Data) -> None:
        for _ in range(WRITE_ATTEMPTS_MAX):
            document = self._documents.get(_path(uid))
            if document is None or document.data["status"] == "closed":
                return
            try:
                self._documents.commit([Patch(document.path, fields, document.version)])
                return
            except PreconditionFailed:
                continue
        raise PreconditionFailed

    def _create(self, principal: Principal) -> Profile:
        data: Data = {
            "uid": principal.uid,
            "email": stored_address(principal.email),
            "email_verified": principal.is_email_verified,
            "display_name": principal.name,
            "is_anonymous": principal.is_anonymous,
            "status": "active",
            "created_at": to_datetime(self._clock.now()),
        }
        if principal.roles:
            data = {**data, "roles": sorted(principal.roles)}
        version = self._documents.commit([Create(_path(principal.uid), data)])[0]
        return profile_of(Document(path=_path(principal.uid), data=data, version=version))

    def _refresh(self, document: Document, principal: Principal) -> Profile:
        profile = profile_of(document)
        news = {} if profile.is_closed or principal.auth != "firebase" else _news(profile, principal)
        if news:
            self._documents.commit([Patch(document.path, news, document.version)])
        return profile_of(Document(path=document.path, data={**document.data, **news}, version=document.version))

    def _change(
        self, uid: Uid, stamp: str, fields: Data, beside: Callable[[Document], Sequence[Write]] = lambda _: ()
    ) -> bool:
        """Set the time `stamp` once, together with `fields`; never on a tombstone. Return True if set.

        `beside` returns further writes of the same commit, from the profile as read.
        """
        for _ in range(WRITE_ATTEMPTS_MAX):
            document = self._documents.get(_path(uid))
            if document is None or document.data["status"] == "closed" or document.data.get(stamp) is not None:
                return False
            data = {stamp: to_datetime(self._clock.now()), **fields}
            try:
                self._documents.commit([Patch(document.path, data, document.version), *beside(document)])
                return True
            except PreconditionFailed:
                continue
        raise PreconditionFailed

    def _tombstone(self, uid: Uid, document: Document | None) -> Create | Put:
        data: Data = {
            "uid": uid,
            "status": "closed",
            "closed_at": to_datetime(self._clock.now()),
        }
        return Create(_path(uid), data) if document is None else Put(_path(uid), data, document.version)


def stored_address(email: str | None) -> str | None:
    """Return an e-mail address as profiles have it, so that lists of users find it by its beginning."""
    return None if email is None else email.strip().lower()


def _path(uid: Uid) -> str:
    return f"users/{uid}"


def _news(profile: Profile, principal: Principal) -> dict[str, Value]:
    """Return the fields that the token knows better. An older token may know less, so no field becomes empty again."""
    news: dict[str, Value] = {}
    address = stored_address(principal.email)
    if address is not None and address != profile.email:
        news |= {"email": address, "email_verified": principal.is_email_verified}
    elif principal.is_email_verified and not profile.is_email_verified:
        news["email_verified"] = True
    if principal.name is not None and principal.name != profile.display_name:
        news["display_name"] = principal.name
    if profile.is_anonymous and not principal.is_anonymous:
        news["is_anonymous"] = False
    if not principal.roles <= profile.roles:
        news["roles"] = sorted(principal.roles | profile.roles)
    return news


def readable_profile(document: Document) -> Profile | None:
    """Return the profile, or None for a profile that this release cannot read, which is logged."""
    try:
        return profile_of(document)
    except Exception as error:  # noqa: BLE001  # one broken profile must not hide all others
        log_error("profile_not_readable", error, uid=document.id)
        return None


def profile_of(document: Document) -> Profile:
    """Return the profile in this document. Fields that an earlier release did not store have their defaults."""
    data = cast("Mapping[str, str | None]", document.data)
    offer = document.data.get("welcome_offer")
    return Profile(
        uid=Uid(document.id),
        status="closed" if data["status"] == "closed" else "active",
        email=data.get("email"),
        is_email_verified=document.data.get("email_verified") is True,
        display_name=data.get("display_name"),
        is_anonymous=document.data.get("is_anonymous") is True,
        roles=known_roles(document.data.get("roles")),
        is_disabled=document.data.get("is_disabled") is True,
        created_at=_millis(document.data.get("created_at")),
        greeted_at=_millis(document.data.get("greeted_at")),
        welcome_offer=Micro(offer) if isinstance(offer, int) else None,
        welcome_claimed_at=_millis(document.data.get("welcome_claimed_at")),
        closed_at=_millis(document.data.get("closed_at")),
    )


def _millis(value: Value) -> Millis | None:
    return from_datetime(value) if isinstance(value, datetime) else None

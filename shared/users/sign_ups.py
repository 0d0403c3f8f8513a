"""Sign-ups by day (UTC): each user counts once, in the commit that greets the user.

A day has `SHARDS` documents, `sign_ups/{day}-{shard}`, so that many users may sign up at once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from shared.kernel.documents import Create, Document, Documents, Put, Value
from shared.kernel.ids import Uid
from shared.kernel.schemas import RefusedData

SHARDS = 4
COLLECTION = "sign_ups"
MONTH_CHARACTERS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUpSums:
    """Numbers of users who signed up: those with a login of their own, and anonymous ones."""

    users: int = 0
    anonymous: int = 0

    def __add__(self, other: "SignUpSums") -> "SignUpSums":
        """Return the numbers of both."""
        return SignUpSums(users=self.users + other.users, anonymous=self.anonymous + other.anonymous)


class SignUpBook:
    """Store of the sign-ups."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def one_more(self, uid: Uid, created_at: datetime, *, is_anonymous: bool) -> Create | Put:
        """Return the write that counts a user on the day of `created_at`, on the version that is read now.

        The caller commits the write together with a change that happens once for each user. Raises StoreUnavailable.
        """
        path = _path(created_at.date().isoformat(), hashlib.sha256(uid.encode()).digest()[0] % SHARDS)
        document = self._documents.get(path)
        sums = _sums(document) + SignUpSums(users=int(not is_anonymous), anonymous=int(is_anonymous))
        data: dict[str, Value] = {"users": sums.users, "anonymous": sums.anonymous}
        return Create(path, data) if document is None else Put(path, data, document.version)

    def days(self, first: date, last: date) -> Mapping[str, SignUpSums]:
        """Return the sign-ups of each day from `first` to `last`, both included; a day without any is missing.

        Reads `SHARDS` documents for each day. Raises StoreUnavailable.
        """
        days = [(first + timedelta(number)).isoformat() for number in range((last - first).days + 1)]
        paths = [_path(day, shard) for day in days for shard in range(SHARDS)]
        sums: dict[str, SignUpSums] = {}
        for number, document in enumerate(self._documents.get_all(paths)):
            if document is not None:
                day = days[number // SHARDS]
                sums[day] = sums.get(day, SignUpSums()) + _sums(document)
        return sums

    def months_of(self, uids: Sequence[Uid]) -> Mapping[Uid, str]:
        """Return the month in which each user signed up, `2026-11`; "" for a user who is unknown or has left.

        A profile of another release has "", too: it must not stop the count of others. Raises StoreUnavailable.
        """
        found = self._documents.get_all([f"users/{uid}" for uid in uids]) if uids else []
        return {uid: _month(document) for uid, document in zip(uids, found, strict=True)}


def _path(day: str, shard: int) -> str:
    return f"{COLLECTION}/{day}-{shard}"


def _sums(document: Document | None) -> SignUpSums:
    if document is None:
        return SignUpSums()
    counts = {name: document.data.get(name) for name in ("users", "anonymous")}
    return SignUpSums(**{name: count for name, count in counts.items() if isinstance(count, int)})


def _month(document: Document | None) -> str:
    """Return the month of a profile, "" for a tombstone or for a profile of another release."""
    known = document is not None and not isinstance(document.data, RefusedData)
    created = document.data.get("created_at") if document is not None and known else None
    return created.date().isoformat()[:MONTH_CHARACTERS] if isinstance(created, datetime) else ""

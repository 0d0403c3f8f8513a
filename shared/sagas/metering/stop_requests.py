"""Requests to stop running calls: `stops/{uid}` holds the requests of a user's last minute, in one document.

A call has two names: the conversation, and the X-Request-Id. A request gives one name and the caller for whom the
request counts. An API key stops only the key's own calls, and a user stops all calls of the user. One document per user
bounds documents and memory, however many ids a caller makes up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from shared.kernel.clock import MINUTE, SECOND, Clock, Millis, to_datetime
from shared.kernel.creation import UNCLEAR
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import (
    Create,
    Data,
    Delete,
    Document,
    Documents,
    Put,
    Query,
    StoreUnavailable,
    Where,
    Write,
)
from shared.kernel.errors import DomainError, Rejected
from shared.kernel.ids import Uid, derived_id, new_id
from shared.kernel.watching import Listener, Watch, Watches

COLLECTION = "stops"
REMEMBERED_FOR: Millis = MINUTE
"""Life of a request. A call that begins later than this time after the request runs on."""
EARLY_REQUESTS_MAX = 30
"""Most ids without a running call that one caller may name within a minute, on all instances together."""
USER_REQUESTS_MAX = 300
"""Most requests of all callers of one user. If there are more, the oldest are dropped first."""
STORE_ATTEMPTS_MAX = 8
STORE_PAUSE_SECONDS = 0.05
EVERYBODY = ""
"""Caller of a request that counts for every call of the user."""


class TooManyStops(Rejected):
    """One caller named too many ids without a call within a minute.

    `retry_after_ms` is the wait before the next request.
    """

    code = "rate_limited"

    def __init__(self, *, retry_after_ms: Millis) -> None:
        super().__init__(
            "Too many ids were named under which nothing runs; please slow down.", retry_after_ms=retry_after_ms
        )


@dataclass(frozen=True, slots=True)
class CallName:
    """Name of a call. `is_early`: a call that begins within a minute of the request is stopped, too."""

    text: str
    is_early: bool

    @classmethod
    def of_conversation(cls, conversation_id: str) -> "CallName":
        """Return the name of the turn that runs in this conversation. A request by this name stops no later turn."""
        return cls(f"conversation:{conversation_id}", is_early=False)

    @classmethod
    def of_request(cls, request_id: str) -> "CallName":
        """Return the name of the call with this X-Request-Id.

        The id is the client's own text, so only a hash is stored.
        """
        return cls(f"request:{request_tag(request_id)}", is_early=True)


def request_tag(request_id: str) -> str:
    """Return the hash that stands for a call with this X-Request-Id."""
    return derived_id("call", request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """Request as stored. `caller` is the principal whose calls are named, or EVERYBODY for all calls of the user.

    `is_early`: no call ran under the name at the time of the request.
    """

    id: str
    uid: Uid
    name: CallName
    caller: str
    at: Millis
    is_early: bool = False

    def covers(self, principal: str) -> bool:
        """Return True if this request covers the calls of `principal`."""
        return self.caller in {EVERYBODY, principal}

    def is_over(self, now: Millis) -> bool:
        """Return True once the request is too old to stop a call."""
        return self.at + REMEMBERED_FOR <= now


class StopRequests:
    """Repository of the stop requests."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def new(self, uid: Uid, name: CallName, caller: str) -> StopRequest:
        """Build a request with the current time, without storing the request."""
        return StopRequest(id=new_id("stop"), uid=uid, name=name, caller=caller, at=self._clock.now())

    def store(self, request: StopRequest, *, since: Millis) -> None:
        """Store the request for every instance. If the same caller named the same call after `since`, write nothing.

        Raises TooManyStops, Unavailable.
        """
        failure: DomainError = StoreUnavailable()
        for _ in range(STORE_ATTEMPTS_MAX):
            found = self._documents.get(_path(request.uid))
            known = self._live(found)
            same = [each for each in known if (each.name, each.caller) == (request.name, request.caller)]
            if any(each.at > since or each.id == request.id for each in same):
                return
            kept = [each for each in known if each not in same]
            if request.is_early:
                self._check_room(kept, request.caller)
            try:
                self._documents.commit([_write(found, [*kept, request][-USER_REQUESTS_MAX:])])
                return
            except UNCLEAR as error:
                failure = error
            self._clock.wait(STORE_PAUSE_SECONDS)
        raise failure

    def of_users(self, uids: Sequence[Uid]) -> list[StopRequest]:
        """Return the requests for these users' calls within the last minute. Raises StoreUnavailable."""
        found = self._documents.get_all([_path(uid) for uid in uids]) if uids else []
        return [each for document in found for each in self._live(document)]

    def watch(self, watches: Watches, listener: Listener) -> Watch:
        """Watch all documents with requests of the last minute, and return the watch.

        `listener` gets the present documents and each later change.
        """
        now = to_datetime(self._clock.now())
        recent = Query(collection=COLLECTION, where=(Where("expires_at", ">", now),), limit=1)
        return watches.watch(recent, listener)

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete the requests of a user who leaves."""
        self._documents.commit([Delete(_path(uid))])
        return True

    def _live(self, document: Document | None) -> list[StopRequest]:
        now = self._clock.now()
        return [] if document is None else [each for each in requests_in(document) if not each.is_over(now)]

    def _check_room(self, kept: Sequence[StopRequest], caller: str) -> None:
        """Raise TooManyStops if this caller has reached EARLY_REQUESTS_MAX."""
        own = [each.at for each in kept if each.caller == caller and each.is_early]
        if len(own) >= EARLY_REQUESTS_MAX:
            raise TooManyStops(retry_after_ms=max(SECOND, min(own) + REMEMBERED_FOR - self._clock.now()))


def requests_in(document: Document) -> list[StopRequest]:
    """Return the requests in a stored document, oldest first. Requests that are over are included."""
    stored = cast("Sequence[Mapping[str, object]]", document.data["requests"])
    return [_request(Uid(document.id), each) for each in stored]


def _path(uid: Uid) -> str:
    return f"{COLLECTION}/{uid}"


def _write(found: Document | None, requests: Sequence[StopRequest]) -> Write:
    uid, last = requests[-1].uid, requests[-1].at
    data: Data = {
        "uid": uid,
        "requests": [_data(each) for each in requests],
        "expires_at": to_datetime(last + REMEMBERED_FOR),
    }
    return Create(_path(uid), data) if found is None else Put(_path(uid), data, found.version)


def _data(request: StopRequest) -> Data:
    return {
        "id": request.id,
        "name": request.name.text,
        "early": request.name.is_early,
        "caller": request.caller,
        "at": request.at,
        "nothing_ran": request.is_early,
    }


def _request(uid: Uid, data: Mapping[str, object]) -> StopRequest:
    # Written by us alone: every field is there and of its type.
    return StopRequest(
        id=str(data["id"]),
        uid=uid,
        name=CallName(str(data["name"]), is_early=bool(data["early"])),
        caller=str(data["caller"]),
        at=cast("int", data["at"]),
        is_early=bool(data.get("nothing_ran", False)),
    )

"""Stopping calls: the signal goes to the instance that runs the calls; the cost comes from ledger and record.

The instance that takes the request needs no answer from the instance that runs the call. The call's hold says whether
the call is settled and how much was charged, and the hold's entry names the message or answer.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from shared.ai.chat.conversations import ConversationStore
from shared.ai.openai.answers import Answers
from shared.kernel.clock import SECOND, Clock
from shared.kernel.errors import DomainError, NotFound
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.kernel.waiting import WaitingRoom
from shared.ledger.ledger import Ledger
from shared.sagas.metering.call_journal import CONVERSATION, REQUEST, CallJournal, CallSearch, JournalCall
from shared.sagas.metering.call_records import CallEnd, CallRecords, Status
from shared.sagas.metering.running_calls import RunningCall, RunningCalls
from shared.sagas.metering.stop_requests import EVERYBODY, CallName, StopRequest, StopRequests, request_tag

SETTLE_SECONDS_MAX = 5.0
"""Most seconds that a caller waits for the report. After that the answer gives the most that the call will cost."""
LOOK_EVERY_SECONDS = 0.2
LOOKS_MAX = 25
WAITING_MAX = 20
WAITING_PER_USER_MAX = 4
"""Most requests of an instance, and of one user, that wait for a report at once. Others get an answer at once."""
BY_URGENCY: tuple[Status, ...] = ("settling", "stopped", "ended")


class CallNotFound(NotFound):
    """The caller has no call with this id. A call that begins with this id within a minute is stopped at once."""

    code = "call_not_found"

    def __init__(self) -> None:
        super().__init__("No call of yours has this id. One that begins within a minute is stopped as it begins.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The caller: a user, or an API key by the key's principal. A user's requests count for all calls of that user."""

    uid: Uid
    principal: str = EVERYBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOutcome:
    """The outcome of a request to stop: the calls that the request named, the last begun first.

    `last` is the last message of the conversation, if the request named no call of the conversation; else None.
    """

    calls: tuple[CallEnd, ...] = ()
    last: CallEnd | None = None

    @property
    def shown(self) -> CallEnd:
        """The end that the answer describes."""
        return self.calls[0] if self.calls else self.last or CallEnd(status="ended")

    @property
    def status(self) -> Status:
        """`settling` if a cost is not known yet, else `stopped`; `ended` if nothing ran."""
        found = {call.status for call in self.calls} or {self.shown.status}
        return next((status for status in BY_URGENCY if status in found), "ended")


class StopCalls:
    """The use case of stopping calls. Safe to share between threads."""

    def __init__(
        self,
        *,
        calls: RunningCalls,
        requests: StopRequests,
        ledger: Ledger,
        conversations: ConversationStore,
        answers: Answers,
        clock: Clock,
        waiting_room: WaitingRoom | None = None,
    ) -> None:
        self._calls = calls
        self._requests = requests
        self._ledger = ledger
        self._journal = CallJournal(ledger)
        self._conversations = conversations
        self._records = CallRecords(ledger, conversations, answers, clock)
        self._clock = clock
        self._room = _Room()
        self._waiting_room = waiting_room or WaitingRoom()

    def in_conversation(self, caller: Caller, conversation_id: str, request_id: str | None = None) -> StopOutcome:
        """Stop the turns of a conversation, or the turn with this X-Request-Id, and return how they ended.

        If none runs, the outcome has the conversation's last message. Raises ConversationNotFound, TooManyStops,
        Unavailable.
        """
        self._conversations.get(caller.uid, conversation_id)
        found = (
            self._stop(caller, CallName.of_conversation(conversation_id), CONVERSATION, conversation_id)
            if request_id is None
            else self._by_request(caller, request_id)
        )
        return found or StopOutcome(last=self._records.last_message(caller.uid, conversation_id))

    def by_request(self, caller: Caller, request_id: str) -> StopOutcome:
        """Stop the calls with this X-Request-Id, and return how they ended.

        If none runs, return the last call that ran.

        Raises CallNotFound, TooManyStops, Unavailable.
        """
        found = self._by_request(caller, request_id)
        if found is None:
            raise CallNotFound
        return found

    def _by_request(self, caller: Caller, request_id: str) -> StopOutcome | None:
        return self._stop(caller, CallName.of_request(request_id), REQUEST, request_tag(request_id))

    def _stop(self, caller: Caller, name: CallName, tag: str, value: str) -> StopOutcome | None:
        """Stop the running calls, here and elsewhere, and wait for the cost.

        If no call runs, return the call that ended, or None if there is no such call.
        """
        wanted = CallSearch(uid=caller.uid, caller=caller.principal, tag=tag, value=value)
        request = self._requests.new(caller.uid, name, caller.principal)
        here = self._calls.stop(request)
        running = self._journal.running(wanted)
        if here or running:
            self._tell_others(request, here, running)
            return self._stopped(caller.uid, wanted, here, running)
        ended = self._journal.last(wanted) if name.is_early else None
        is_early = name.is_early and ended is None
        self._requests.store(replace(request, is_early=is_early), since=request.at - SECOND)
        return None if ended is None else StopOutcome(calls=(self._records.end_of(caller.uid, ended, "ended"),))

    def _stopped(
        self, uid: Uid, wanted: CallSearch, here: Sequence[RunningCall], running: Sequence[JournalCall]
    ) -> StopOutcome:
        """Wait for the stopping calls, and return their ends."""
        with self._room.taken(uid) as is_waiting, self._waiting_room.place(uid) as has_place:
            self._wait(uid, here, running, looks=LOOKS_MAX if is_waiting and has_place else 1)
        calls = list(running)
        if here:
            since = min(call.begun_at for call in here)
            calls = [call for call in self._journal.since(wanted, since) if call not in running] + calls
        ends = tuple(self._records.end_of(uid, call, "stopped") for call in calls)
        return StopOutcome(calls=ends or (self._without_hold(uid, here),))

    def _without_hold(self, uid: Uid, here: Sequence[RunningCall]) -> CallEnd:
        """Return the end of calls that were stopped before any hold. Such calls cost at most the available balance."""
        if self._calls.wait_for_end(here, 0):
            return CallEnd(status="stopped", cost=Micro(0))
        return CallEnd(status="settling", at_most=Micro(self._ledger.balance(uid).available))

    def _tell_others(self, request: StopRequest, here: Sequence[RunningCall], running: Sequence[JournalCall]) -> None:
        """Store the request for all instances.

        If calls run here, a failed write is only logged, since these calls are stopped already.
        """
        since = max((call.placed_at for call in running), default=request.at - SECOND)
        try:
            self._requests.store(request, since=since)
        except DomainError as error:
            if not here:
                raise
            log("stop_not_told", "WARNING", uid=request.uid, code=error.code)

    def _wait(self, uid: Uid, here: Sequence[RunningCall], running: Sequence[JournalCall], *, looks: int) -> None:
        """Wait until the calls are over and their holds are settled, for SETTLE_SECONDS_MAX at most."""
        deadline, holds = self._clock.monotonic() + SETTLE_SECONDS_MAX, {call.hold for call in running}
        for _ in range(looks):
            is_over = self._calls.wait_for_end(here, LOOK_EVERY_SECONDS)
            if is_over and holds.isdisjoint(hold.id for hold in self._ledger.open_holds(uid).holds):
                return
            if self._clock.monotonic() >= deadline:
                return
            if is_over:
                self._clock.wait(LOOK_EVERY_SECONDS)


class _Room:
    """The room for waiting callers: a few per user, and in all no more than the instance can spare threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = Counter[Uid]()

    @contextmanager
    def taken(self, uid: Uid) -> Iterator[bool]:
        """Take a place for the block, if one is free. Yield True if the caller may wait."""
        with self._lock:
            is_free = self._waiting.total() < WAITING_MAX and self._waiting[uid] < WAITING_PER_USER_MAX
            if is_free:
                self._waiting[uid] += 1
        try:
            yield is_free
        finally:
            if is_free:
                self._leave(uid)

    def _leave(self, uid: Uid) -> None:
        with self._lock:
            self._waiting[uid] -= 1
            if not self._waiting[uid]:
                del self._waiting[uid]

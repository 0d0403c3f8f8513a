"""Calls in the journal: a user's holds that were placed for the call with a certain name.

The entry that places a hold has the call's names as tags. So a reader finds running calls in the account's journal, and
a call that nobody looks up costs no additional document.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, Uid, derived_id
from shared.kernel.money import AMOUNT_MAX, Micro
from shared.ledger.about import Purpose, RefType, about
from shared.ledger.commands import Tags
from shared.ledger.hold_names import hold_id
from shared.ledger.ledger import Ledger
from shared.ledger.redactions import MARK
from shared.ledger.views import HoldView
from shared.sagas.metering.plan import MeteredPlan
from shared.sagas.metering.stop_requests import EVERYBODY, request_tag
from shared.users.principal import KEY_SPENDER

RUN, CONVERSATION, REQUEST, CEILING = "run", "conversation", "request", "ceiling"
WINDOWS = (10, 40, 100, 100, 100, 100, 100, 100, 100, 100)
"""Numbers of entries to read at a time, back from the head: most calls began a few entries ago."""
ENDED_WINDOWS = WINDOWS[:3]
"""Windows for a call that has ended: the search goes no further back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalCall:
    """Attempt at a call. `run` names the call's message or answer.

    `conversation_id` is None for a call outside a conversation. `ceiling` is the most that the provider can bill (µcr).
    `charged` is the cost (µcr) of a call that held no credits; None for a call with a hold.
    """

    hold: HoldId
    run: str
    conversation_id: str | None
    model: str
    ceiling: Micro
    placed_at: Millis
    charged: Micro | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSearch:
    """Search for the calls whose tag `tag` has this value, of one principal or of EVERYBODY."""

    uid: Uid
    caller: str
    tag: str
    value: str

    def is_of(self, principal: str) -> bool:
        """Return True if the caller may see a call of `principal`."""
        return self.caller in {EVERYBODY, principal}


def names_of(plan: MeteredPlan, run: str) -> Tags:
    """Return the tags by which a call is found, for the entry that places the call's hold.

    Empty for a side call, which the platform makes by itself for a title or a summary. `run` names the attempt.
    """
    request = plan.request
    if not request.request_id:
        return ()
    named = ((RUN, run), (REQUEST, request_tag(request.request_id)), (CEILING, str(plan.ceiling)))
    return (*named, (CONVERSATION, request.conversation_id)) if request.conversation_id else named


def about_call(plan: MeteredPlan, run: str) -> Tags:
    """Return the tags that say what a call's entries are about: an answer in a conversation, or an OpenAI-shaped call.

    A side call of the platform (a title, a summary) refers to no answer. `run` names the attempt.
    """
    request = plan.request
    purpose: Purpose = "embedding" if plan.model.kind == "embedding" else "openai"
    ref: tuple[RefType, str] | None = ("call", derived_id("ans", run))
    if request.conversation_id:
        purpose, ref = "chat", ("message", derived_id("msg", run, "assistant")) if request.request_id else None
    return about(
        purpose,
        ref=ref,
        model=plan.model.id,
        price_version=plan.model.price_version,
        markup_percent=plan.rate.markup_percent,
        principal=request.principal,
    )


class CallJournal:
    """Finds calls in the journals of accounts."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def running(self, wanted: CallSearch) -> list[JournalCall]:
        """Return the calls whose holds are open, the last begun first. Raises Unavailable."""
        open_ = self._ledger.open_holds(wanted.uid)
        candidates = {hold.id: hold for hold in open_.holds if _may_be(hold, wanted)}
        found: list[JournalCall] = []
        for body in self._placings(wanted.uid, open_.seq, WINDOWS):
            if not candidates or body["at"] < min(hold.placed_at for hold in candidates.values()):
                break
            if candidates.pop(_call_id(body), None) is not None and _is_named(body, wanted):
                found.append(_call(body))
        return found

    def since(self, wanted: CallSearch, at: Millis) -> list[JournalCall]:
        """Return the calls that began at `at` or later, running or not, the last begun first. Raises Unavailable."""
        found: list[JournalCall] = []
        for body in self._placings(wanted.uid, self._ledger.open_holds(wanted.uid).seq, WINDOWS):
            if body["at"] < at:
                break
            if _is_named(body, wanted):
                found.append(_call(body))
        return found

    def last(self, wanted: CallSearch) -> JournalCall | None:
        """Return the call that began last, running or not; None if the newest entries of the account name no such call.

        Raises Unavailable.
        """
        seq = self._ledger.open_holds(wanted.uid).seq
        placings = self._placings(wanted.uid, seq, ENDED_WINDOWS)
        return next((_call(body) for body in placings if _is_named(body, wanted)), None)

    def _placings(self, uid: Uid, seq: int, windows: tuple[int, ...]) -> Iterator[Mapping[str, Any]]:
        """Yield the bodies of the entries that placed holds or charged calls without holds, newest first."""
        for size in windows:
            if seq < 1:
                return
            bodies = self._ledger.bodies(uid, max(1, seq - size + 1), seq)
            yield from (body for body in reversed(bodies) if _is_placing(body))
            seq -= size


def _may_be(hold: HoldView, wanted: CallSearch) -> bool:
    return not hold.is_reservation and wanted.is_of(hold.principal)


def _is_named(body: Mapping[str, Any], wanted: CallSearch) -> bool:
    tags = body.get("tags", {})
    is_wanted = RUN in tags and tags.get(wanted.tag) == wanted.value
    return is_wanted and wanted.is_of(_principal(body))


def _is_placing(body: Mapping[str, Any]) -> bool:
    """Return True for an entry that placed a hold or charged a call without one. A redacted entry names no call."""
    return MARK not in body and (body["kind"] == "hold" or _is_direct(body))


def _is_direct(body: Mapping[str, Any]) -> bool:
    return body["kind"] == "charge" and "hold" not in body


def _call_id(body: Mapping[str, Any]) -> HoldId:
    """Return the id of the hold. For a call without a hold, return the id that the hold would have."""
    return hold_id(body["op"]) if _is_direct(body) else HoldId(body["hold"]["id"])


def _principal(body: Mapping[str, Any]) -> str:
    """Return the principal of a call. A call without a hold names only the API key."""
    if not _is_direct(body):
        return str(body["hold"].get("principal", ""))
    key = body["tags"].get("key")
    return str(body["uid"]) if key is None else f"{KEY_SPENDER}{key}"


def _call(body: Mapping[str, Any]) -> JournalCall:
    tags = body["tags"]
    return JournalCall(
        hold=_call_id(body),
        run=tags[RUN],
        conversation_id=tags.get(CONVERSATION),
        model=tags.get("model") or body.get("hold", {}).get("model", ""),
        ceiling=Micro(int(tags.get(CEILING, AMOUNT_MAX))),
        placed_at=body["at"],
        charged=Micro(sum(each["amount"] for each in body["postings"])) if _is_direct(body) else None,
    )

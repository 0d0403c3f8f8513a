"""`/v1/chat/conversations/{id}/stop` and `/v1/openai/stop`: end a running call, and return the call's cost.

A transport may swallow a client's hang-up, so stopping is a request of its own.
"""

from typing import Any

from marshmallow import fields, validate

from functions.http.chat_schemas import AnswerMessage, BalanceAfter, UsageOut
from functions.http.fields import Answer, Choice, Credits, Request, Text
from functions.http.routes import CHAT, MEMBER, Call, Routes
from shared.ai.chat.conversations import ConversationNotFound
from shared.kernel.money import format_credits
from shared.sagas.metering.call_records import CallEnd
from shared.sagas.metering.stop_calls import Caller, CallNotFound, StopOutcome
from shared.sagas.metering.stop_requests import EVERYBODY, TooManyStops

REQUEST_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,128}$"
CALLS_PER_MINUTE = 300
"""A stop reads some of the account's journal, and may write."""
STATUSES = ("stopped", "settling", "ended")

routes = Routes("chat")
openai_routes = Routes("openai", is_openai=True)


class RequestId(Text):
    """The `X-Request-Id` of a call: sent by the client, or named in the answer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": REQUEST_ID_PATTERN}, **kwargs)
        self.validators = [validate.Regexp(REQUEST_ID_PATTERN)]


class StopTurnIn(Request):
    """Turn to stop.

    With `request_id`, one turn, also one that has not begun yet. Without, all turns of the conversation.
    """

    request_id = RequestId(load_default=None, allow_none=True)


class StopCallIn(Request):
    """Call to stop."""

    request_id = RequestId(required=True)


class CallEndOut(Answer):
    """End of one call. While its cost is settling, `cost` is null and `at_most` bounds the cost.

    `message` and `usage` are null for a call without a stored answer.
    """

    status = Choice(*STATUSES, required=True)
    message = fields.Nested(AnswerMessage, required=True, allow_none=True)
    usage = fields.Nested(UsageOut, required=True, allow_none=True)
    cost = Credits(required=True, allow_none=True)
    at_most = Credits(required=True, allow_none=True)


class StoppedOut(CallEndOut):
    """Outcome of a request to stop: the last call that the request named, and all of these calls.

    If the request named no call that ran, the last message. `ended`: no such call ran any more.
    """

    balance = fields.Nested(BalanceAfter, required=True)
    calls = fields.List(fields.Nested(CallEndOut), required=True)


@routes.post(
    "/chat/conversations/{id}/stop",
    status=200,
    access=MEMBER,
    scopes=CHAT,
    body=StopTurnIn,
    answer=StoppedOut,
    errors=(ConversationNotFound, TooManyStops),
    calls_per_minute=CALLS_PER_MINUTE,
)
def stop(call: Call) -> Any:
    """Stop the turn that runs in this conversation, and get its message and its cost.

    If the cost is not known after five seconds, `status` is `settling`, and the message shows the cost later. If
    nothing runs, the answer is the last message. A key stops its own turns only.
    """
    stopped = call.services.stop_calls.in_conversation(_caller(call), call.path["id"], call.body["request_id"])
    return _shown(call, stopped)


@openai_routes.post(
    "/openai/stop",
    status=200,
    access=MEMBER,
    scopes=CHAT,
    body=StopCallIn,
    query=None,
    answer=StoppedOut,
    errors=(CallNotFound, TooManyStops),
    calls_per_minute=CALLS_PER_MINUTE,
)
def stop_call(call: Call) -> Any:
    """Stop the caller's calls with this X-Request-Id, and get their answers and their cost.

    If no call of the caller has this id, the answer is 404, and a call that begins with this id within a minute is
    stopped at once.
    """
    return _shown(call, call.services.stop_calls.by_request(_caller(call), call.body["request_id"]))


def _caller(call: Call) -> Caller:
    key = call.principal.key
    return Caller(uid=call.uid, principal=EVERYBODY if key is None else call.principal.spender)


def _shown(call: Call, stopped: StopOutcome) -> dict[str, Any]:
    balance = call.services.credits.ledger.balance(call.uid)
    shown = {"available": format_credits(balance.available), "held": format_credits(balance.held)}
    calls = [_end(each) for each in stopped.calls]
    return {**_end(stopped.shown), "status": stopped.status, "balance": shown, "calls": calls}


def _end(end: CallEnd) -> dict[str, Any]:
    usage = None
    if end.usage is not None:
        counts = {"input_tokens": end.usage.input_tokens, "output_tokens": end.usage.output_tokens}
        usage = {**counts, "estimated": end.is_estimated}
    return {"status": end.status, "message": end.said, "usage": usage, "cost": end.cost, "at_most": end.at_most}

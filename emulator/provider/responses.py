"""OpenAI's responses as the stand-in provider answers them, whole and streamed."""

import time
from typing import Any

from emulator.provider.call import REPLY, Call, tokens_of
from emulator.provider.shapes import demanded_call, response_events, response_input, response_items, shaped_reply

Json = dict[str, Any]


def answer_response(call: Call) -> None:
    """Answer as scripted, or with the usual reply."""
    body = call.body
    calls = call.script.get("tool_calls") or demanded_call(body)
    shape = (body.get("text") or {}).get("format") or {}
    pieces = [] if calls else tokens_of(call.script.get("reply", shaped_reply(shape) or REPLY))
    sent, reasoning = call.limited(pieces, body.get("max_output_tokens"))
    call.expect(response_input(body), len(sent), reasoning, body.get("tools"), shape.get("schema"))
    call.seen.usage = _usage(call)
    call.seen.finish_reason = "length" if len(sent) < len(pieces) else "stop"
    answer = _response(call, response_items(call.seen.id, "".join(sent), calls))
    if body.get("stream"):
        _stream(call, answer, sent)
    else:
        _whole(call, answer, sent)


def _whole(call: Call, answer: Json, sent: list[str]) -> None:
    call.begin()
    call.pause(len(sent) or 1)
    call.wait()
    if call.script.get("fail_after", -1) >= 0:
        call.cut()
        return
    call.deliver(answer, len(sent))


def _usage(call: Call) -> Json | None:
    whole = call.seen.whole
    counted: Json = {"input_tokens": whole.input_tokens, "output_tokens": whole.output_tokens}
    usage = call.script.get("usage", counted)
    if usage is None:
        return None
    details = {"output_tokens_details": {"reasoning_tokens": whole.reasoning_tokens}} if whole.reasoning_tokens else {}
    return {**usage, **details, "total_tokens": sum(usage.values())}


def _response(call: Call, items: list[Json]) -> Json:
    is_cut = call.seen.finish_reason == "length"
    return {
        "id": f"resp_{call.seen.id}",
        "object": "response",
        "created_at": int(time.time()),
        "model": call.body.get("model"),
        "status": "incomplete" if is_cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "instructions": call.body.get("instructions"),
        "output": items,
        "parallel_tool_calls": True,
        "tool_choice": call.body.get("tool_choice", "auto"),
        "tools": call.body.get("tools") or [],
        "text": {"format": {"type": "text"}, **(call.body.get("text") or {})},
        "usage": call.seen.usage,
    }


def _stream(call: Call, answer: Json, sent: list[str]) -> None:
    wire = call.wire
    wire.open_stream()
    call.begin()
    last = {"type": f"response.{answer['status']}", "response": answer}
    for number, event in enumerate([*response_events(answer, sent), last]):
        is_delta = event["type"].endswith("output_text.delta")
        if is_delta:
            if call.is_to_break():
                _break(call, number)
                return
            call.pause()
        if event is last:
            wire.pause(call.script.get("usage_delay_ms", 0))
            call.end()
        wire.event({**event, "sequence_number": number}, event["type"])
        if is_delta:
            call.sent()
    wire.close_stream()


def _break(call: Call, number: int) -> None:
    """End in the middle: with an error event, or as a line that is cut."""
    if call.script.get("as") != "event":
        call.cut()
        return
    call.failed()
    told = {"type": "error", "code": "server_error", "message": "The server had an error.", "param": None}
    call.wire.event({**told, "sequence_number": number}, "error")
    call.wire.close_stream()

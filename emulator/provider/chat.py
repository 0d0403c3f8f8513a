"""Chat completions of the stand-in provider, whole and streamed."""

import json
import time
from typing import Any

from emulator.provider.agent_play import agent_move
from emulator.provider.call import REPLY, Call, tokens_of
from emulator.provider.shapes import demanded_call, shaped_reply

Json = dict[str, Any]


def answer_chat(call: Call) -> None:
    """Answer as scripted, or play an agent, or say the usual reply."""
    body = call.body
    call.script = script = {"tool_calls": demanded_call(body), **(call.script or agent_move(body) or {})}
    shaped = shaped_reply(body.get("response_format") or {})
    pieces = [] if script["tool_calls"] else tokens_of(script.get("reply", shaped or REPLY))
    sent, reasoning = call.limited(pieces, body.get("max_completion_tokens") or body.get("max_tokens"))
    call.expect(body.get("messages", []), len(sent), reasoning, body.get("tools"), body.get("response_format"))
    default = "tool_calls" if script.get("tool_calls") else "stop" if len(sent) == len(pieces) else "length"
    call.seen.finish_reason = script.get("finish_reason", default)
    call.seen.usage = _usage(call)
    if body.get("stream"):
        _stream(call, sent)
    else:
        _whole(call, sent)


def _whole(call: Call, sent: list[str]) -> None:
    call.begin()
    call.pause(len(sent) or 1)
    call.wait()
    if 0 <= call.script.get("fail_after", -1) <= len(sent):
        call.cut()
        return
    call.deliver(_completion(call, "".join(sent)), len(sent))


def _usage(call: Call) -> Json | None:
    whole = call.seen.whole
    counted: Json = {"prompt_tokens": whole.input_tokens, "completion_tokens": whole.output_tokens}
    if whole.reasoning_tokens:
        counted["completion_tokens_details"] = {"reasoning_tokens": whole.reasoning_tokens}
    usage = call.script.get("usage", counted)
    if usage is None:
        return None
    return {"total_tokens": usage["prompt_tokens"] + usage["completion_tokens"], **usage}


def _completion(call: Call, text: str) -> Json:
    message: Json = {"role": "assistant", "content": text or None, "refusal": None}
    if call.script.get("tool_calls"):
        message["tool_calls"] = _tool_calls(call)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": call.seen.finish_reason}
    head = {**_head(call, "chat.completion"), "choices": [choice]}
    return head if call.seen.usage is None else {**head, "usage": call.seen.usage}


def _stream(call: Call, sent: list[str]) -> None:
    wire, seen = call.wire, call.seen
    wire.open_stream()
    call.pause()
    call.begin()
    wire.event(_chunk(call, {"role": "assistant", "content": ""}, None))
    call.wait()
    for piece in sent:
        if call.is_to_break():
            _break(call)
            return
        call.pause()
        wire.event(_chunk(call, {"content": piece}, None))
        call.sent()
    if call.script.get("tool_calls"):
        calls = [{"index": index, **each} for index, each in enumerate(_tool_calls(call))]
        wire.event(_chunk(call, {"tool_calls": calls}, None))
    wire.event(_chunk(call, {}, seen.finish_reason))
    wire.pause(call.script.get("usage_delay_ms", 0))
    call.end()
    if (call.body.get("stream_options") or {}).get("include_usage") and seen.usage is not None:
        wire.event({**_head(call, "chat.completion.chunk"), "choices": [], "usage": seen.usage})
    wire.send_chunk(b"data: [DONE]\n\n")
    wire.close_stream()


def _break(call: Call) -> None:
    """End in the middle: with an error event, or as a line that is cut."""
    if call.script.get("as") != "event":
        call.cut()
        return
    call.failed()
    call.wire.event({"error": {"message": "The server had an error.", "type": "server_error", "code": None}})
    call.wire.close_stream()


def _chunk(call: Call, delta: Json, finish_reason: str | None) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**_head(call, "chat.completion.chunk"), "choices": [choice]}


def _head(call: Call, kind: str) -> Json:
    created, model = int(time.time()), call.body.get("model")
    return {"id": f"chatcmpl-{call.seen.id}", "object": kind, "created": created, "model": model}


def _tool_calls(call: Call) -> list[Json]:
    return [
        {
            "id": f"call_{call.seen.id}_{index}",
            "type": "function",
            "function": {"name": each["name"], "arguments": json.dumps(each.get("arguments", {}))},
        }
        for index, each in enumerate(call.script["tool_calls"])
    ]

"""A stand-in model provider: OpenAI's published shapes, deterministic replies, and a script for everything unusual.

Scripts are dictionaries, told in process (`Upstream.script`) or by `POST /__/script`; the first that fits a request is
used, the oldest first. Keys, all optional:

    contains, model          which requests it is for: text of the last user message, or of the prompt; the model's name
    times                    how many requests it serves (default 1; 0 means always)
    reply                    the text answered; one chunk, and one output token, per word
    usage                    {"prompt_tokens": …, "completion_tokens": …} as given; null: no usage is reported
    delay_ms                 wait before each chunk
    error                    {"status": 429, "code": …, "message": …} instead of an answer
    fail_after               the stream breaks after so many chunks: it is cut off or, with "as": "event", says an error
    tool_calls               [{"name": …, "arguments": {…}}] instead of text
    finish_reason            instead of "stop"
    b64_json, url            what an image is answered as, instead of a picture; "own": an address of this stand-in
"""

import argparse
import base64
import contextlib
import hashlib
import itertools
import json
import re
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from emulator.agent_play import agent_move
from emulator.pictures import painted
from emulator.ports import LOOPBACK
from emulator.shapes import (
    IMAGE_TOKENS,
    demanded_call,
    images_in,
    response_events,
    response_input,
    response_items,
    shaped_reply,
)

REPLY = (
    "Hello from your laptop! I am a stand-in model: I answer every question with these same few sentences, "
    "one word at a time, so that you can watch a stream arrive and see what it costs."
)
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-nano", "o4-mini", "gpt-image-1", "text-embedding-3-small")
PRICES = {
    "gpt-4o-mini": ("0.00000015", "0.0000006"),
    "gpt-4o": ("0.0000025", "0.00001"),
    "o4-mini": ("0.0000011", "0.0000044"),
}
CHUNK_DELAY_MS = 0
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
EMBEDDING_DIMENSIONS = 256
IMAGE_CHUNKS = 24
"""An image takes as long as so many chunks of text."""

Json = dict[str, Any]


def count_input(messages: list[Json]) -> int:
    """The input tokens this stand-in reports: four characters each, and four for every message."""
    characters = sum(len(_text(message)) for message in messages)
    images = sum(images_in(message.get("content")) for message in messages)
    return -(-characters // CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE * len(messages) + IMAGE_TOKENS * images


def tokens_of(reply: str) -> list[str]:
    """A reply as its output tokens: words with the white space before them."""
    return re.findall(r"\s*\S+", reply)


def _text(message: Json) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request as the journal tells it. `outcome` is answered, refused, cut or aborted (the client went away)."""

    id: int
    path: str
    body: Json
    outcome: str = "open"
    status: int = 200
    chunks_sent: int = 0
    usage: Json | None = None
    finish_reason: str | None = None

    def as_json(self) -> Json:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class State:
    """The scripts that wait and the requests that came, for all threads of one server."""

    scripts: list[Json] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    delay_ms: int = CHUNK_DELAY_MS

    def take(self, body: Json) -> Json:
        """The script for this request, used once more; an empty one if none fits."""
        said = body.get("messages") or response_input(body)
        asked = next((_text(m) for m in reversed(said) if m.get("role") == "user"), None)
        asked = str(body.get("prompt", "")) if asked is None else asked
        with self.lock:
            for script in self.scripts:
                if script.get("contains", "") in asked and script.get("model") in {None, body.get("model")}:
                    if script.get("times", 1) == 1:
                        self.scripts.remove(script)
                    elif script.get("times", 1) > 1:
                        script["times"] -= 1
                    return dict(script)
        return {}

    def note(self, path: str, body: Json) -> Seen:
        with self.lock:
            seen = Seen(id=next(self.numbers), path=path, body=body)
            self.seen.append(seen)
        return seen

    def clear(self) -> None:
        with self.lock:
            self.scripts.clear()
            self.seen.clear()


class _ClientGoneError(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Say nothing: the journal does."""

    def do_GET(self) -> None:
        if self.path == "/__/journal":
            self._json({"requests": [seen.as_json() for seen in self.state.seen]})
        elif self.path.startswith("/__/pictures/"):
            self._bytes(painted(self.path, "64x64"), "image/png")
        elif self.path.endswith("/models"):
            self._json({"object": "list", "data": [_listed(name) for name in MODELS]})
        else:
            self._error({"status": HTTPStatus.NOT_FOUND, "message": f"no such path: {self.path}"})

    def do_DELETE(self) -> None:
        self.state.clear()
        self._json({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.path == "/__/script":
            self.state.scripts.append(body)
            self._json({})
            return
        seen = self.state.note(self.path, body)
        script = self.state.take(body)
        try:
            self._answer(seen, body, script)
        except (OSError, _ClientGoneError):
            seen.outcome = "aborted"
            self.close_connection = True

    def _answer(self, seen: Seen, body: Json, script: Json) -> None:
        if script.get("error") or not self.headers.get("Authorization", "").startswith("Bearer "):
            error = script.get("error") or {"status": HTTPStatus.UNAUTHORIZED, "message": "no API key was given"}
            self._pause(script)
            seen.outcome, seen.status = "refused", int(error["status"])
            self._error(error)
        elif self.path.endswith("/chat/completions"):
            self._chat(seen, body, script)
        elif self.path.endswith("/images/generations"):
            self._images(seen, body, script)
        elif self.path.endswith("/embeddings"):
            self._embeddings(seen, body)
        elif self.path.endswith("/responses"):
            self._responses(seen, body, script)
        else:
            seen.outcome, seen.status = "refused", HTTPStatus.NOT_FOUND
            self._error({"status": HTTPStatus.NOT_FOUND, "message": f"no such path: {self.path}"})

    def _last(self, seen: Seen, answer: Json) -> None:
        """Send the whole answer; noted before, for whoever reads it looks into the journal next."""
        seen.outcome = "answered"
        self._json(answer)

    # ── chat ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _chat(self, seen: Seen, body: Json, script: Json) -> None:
        script = {"tool_calls": demanded_call(body), **(script or agent_move(body) or {})}
        shaped = shaped_reply(body.get("response_format") or {})
        pieces = [] if script["tool_calls"] else tokens_of(script.get("reply", shaped or REPLY))
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(pieces)
        sent = pieces[:limit]
        default = "tool_calls" if script.get("tool_calls") else "stop" if len(sent) == len(pieces) else "length"
        seen.finish_reason = script.get("finish_reason", default)
        seen.usage = self._usage(body, script, max(len(sent), 1))
        if body.get("stream"):
            self._stream(seen, body, script, sent)
        else:
            for _ in sent or [""]:
                self._pause(script)
            if 0 <= script.get("fail_after", -1) <= len(sent):
                self._break(seen, {})
                return
            seen.chunks_sent = len(sent)
            self._last(seen, self._completion(seen, body, "".join(sent), script))

    def _usage(self, body: Json, script: Json, output: int) -> Json | None:
        counted = {"prompt_tokens": count_input(body.get("messages", [])), "completion_tokens": output}
        usage = script.get("usage", counted)
        if usage is None:
            return None
        return {"total_tokens": usage["prompt_tokens"] + usage["completion_tokens"], **usage}

    def _completion(self, seen: Seen, body: Json, text: str, script: Json) -> Json:
        message: Json = {"role": "assistant", "content": text or None, "refusal": None}
        if script.get("tool_calls"):
            message["tool_calls"] = _tool_calls(seen, script)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": seen.finish_reason}
        head = {**_head(seen, body, "chat.completion"), "choices": [choice]}
        return head if seen.usage is None else {**head, "usage": seen.usage}

    def _stream(self, seen: Seen, body: Json, script: Json, sent: list[str]) -> None:
        self._open_stream()
        for piece in ["", *sent]:
            if seen.chunks_sent == script.get("fail_after", -1) and piece:
                self._break(seen, script)
                return
            self._pause(script)
            delta = {"content": piece} if piece else {"role": "assistant", "content": ""}
            self._event(self._chunk(seen, body, delta, None))
            seen.chunks_sent += bool(piece)
        if script.get("tool_calls"):
            calls = [{"index": index, **call} for index, call in enumerate(_tool_calls(seen, script))]
            self._event(self._chunk(seen, body, {"tool_calls": calls}, None))
        self._event(self._chunk(seen, body, {}, seen.finish_reason))
        if (body.get("stream_options") or {}).get("include_usage") and seen.usage is not None:
            self._event({**_head(seen, body, "chat.completion.chunk"), "choices": [], "usage": seen.usage})
        seen.outcome = "answered"
        self._write(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, seen: Seen, body: Json, delta: Json, finish_reason: str | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**_head(seen, body, "chat.completion.chunk"), "choices": [choice]}

    def _break(self, seen: Seen, script: Json) -> None:
        """End in the middle: with an error event, or as a line that is cut."""
        seen.outcome = "cut"
        if script.get("as") == "event":
            self._event({"error": {"message": "The server had an error.", "type": "server_error", "code": None}})
            self.wfile.write(b"0\r\n\r\n")
        else:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    # ── responses ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _responses(self, seen: Seen, body: Json, script: Json) -> None:
        calls = script.get("tool_calls") or demanded_call(body)
        shaped = shaped_reply((body.get("text") or {}).get("format") or {})
        pieces = [] if calls else tokens_of(script.get("reply", shaped or REPLY))
        sent = pieces[: body.get("max_output_tokens") or len(pieces)]
        items = response_items(seen.id, "".join(sent), calls)
        counted = {"input_tokens": count_input(response_input(body)), "output_tokens": max(len(sent), 1)}
        seen.usage = script.get("usage", counted)
        is_cut = len(sent) < len(pieces)
        seen.finish_reason = "length" if is_cut else "stop"
        answer = {
            "id": f"resp_{seen.id}",
            "object": "response",
            "created_at": int(time.time()),
            "model": body.get("model"),
            "status": "incomplete" if is_cut else "completed",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "instructions": body.get("instructions"),
            "output": items,
            "parallel_tool_calls": True,
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "usage": seen.usage and {**seen.usage, "total_tokens": sum(seen.usage.values())},
        }
        if body.get("stream"):
            self._stream_response(seen, answer, sent, script)
        else:
            self._last(seen, answer)

    def _stream_response(self, seen: Seen, answer: Json, sent: list[str], script: Json) -> None:
        self._open_stream()
        last = {"type": f"response.{answer['status']}", "response": answer}
        for number, event in enumerate([*response_events(answer, sent), last]):
            seen.outcome = "answered" if event is last else seen.outcome
            if event["type"].endswith(".delta"):
                if seen.chunks_sent == script.get("fail_after", -1):
                    self._break(seen, script)
                    return
                self._pause(script)
                seen.chunks_sent += 1
            told = {**event, "sequence_number": number}
            self._write(f"event: {event['type']}\ndata: {json.dumps(told)}\n\n".encode())
        self.wfile.write(b"0\r\n\r\n")

    # ── images and embeddings ────────────────────────────────────────────────────────────────────────────────────────

    def _images(self, seen: Seen, body: Json, script: Json) -> None:
        self._pause({"delay_ms": self.state.delay_ms * IMAGE_CHUNKS, **script})
        items = [self._image(body, script, number) for number in range(int(body.get("n") or 1))]
        answer: Json = {"created": int(time.time()), "data": items}
        if script.get("usage"):
            answer["usage"] = seen.usage = script["usage"]
        self._last(seen, answer)

    def _image(self, body: Json, script: Json, number: int) -> Json:
        if script.get("url") == "own":
            return {"url": f"http://{self.headers['Host']}/__/pictures/{number}.png"}
        told: Json = {name: script[name] for name in ("b64_json", "url") if name in script}
        if told:
            return told
        picture = painted(f"{body.get('prompt')}:{next(self.state.numbers)}", str(body.get("size")))
        return {"b64_json": base64.b64encode(picture).decode(), "revised_prompt": body.get("prompt")}

    def _embeddings(self, seen: Seen, body: Json) -> None:
        texts = body["input"] if isinstance(body.get("input"), list) else [str(body.get("input", ""))]
        size = int(body.get("dimensions") or EMBEDDING_DIMENSIONS)
        data: list[Json] = [
            {"object": "embedding", "index": n, "embedding": _vector(str(t), size)} for n, t in enumerate(texts)
        ]
        if body.get("encoding_format") == "base64":
            for row in data:
                row["embedding"] = base64.b64encode(struct.pack(f"<{size}f", *row["embedding"])).decode()
        tokens = count_input([{"content": str(text)} for text in texts])
        seen.usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self._last(seen, {"object": "list", "data": data, "model": body.get("model"), "usage": seen.usage})

    # ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pause(self, script: Json) -> None:
        """Wait as scripted, and notice a client that goes away meanwhile."""
        seconds = script.get("delay_ms", self.state.delay_ms) / 1000
        readable, _, _ = select.select([self.connection], [], [], seconds)
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            raise _ClientGoneError

    def _open_stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, data: Json) -> None:
        self._write(f"data: {json.dumps(data)}\n\n".encode())

    def _write(self, line: bytes) -> None:
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()

    def _error(self, error: Json) -> None:
        detail = {"type": "invalid_request_error", "param": None, "code": None, "message": "refused", **error}
        self._json({"error": detail}, status=int(detail.pop("status")))

    def _json(self, answer: Json, status: int = HTTPStatus.OK) -> None:
        self._bytes(json.dumps(answer).encode(), "application/json", status)

    def _bytes(self, payload: bytes, content_type: str, status: int = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


def _listed(name: str) -> Json:
    """A model as listings of today's routers tell it: with its price per token, where it has one."""
    listed: Json = {"id": name, "object": "model", "created": 0, "owned_by": "laptop"}
    if name in PRICES:
        prompt, completion = PRICES[name]
        listed |= {"pricing": {"prompt": prompt, "completion": completion}, "context_length": 128_000}
    return listed


def _head(seen: Seen, body: Json, kind: str) -> Json:
    return {"id": f"chatcmpl-{seen.id}", "object": kind, "created": int(time.time()), "model": body.get("model")}


def _tool_calls(seen: Seen, script: Json) -> list[Json]:
    return [
        {
            "id": f"call_{seen.id}_{index}",
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call.get("arguments", {}))},
        }
        for index, call in enumerate(script["tool_calls"])
    ]


def _vector(text: str, size: int) -> list[float]:
    digest = hashlib.shake_256(text.encode()).digest(size)
    return [byte / 127.5 - 1 for byte in digest]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Upstream:
    """The stand-in as a part of this process: `with Upstream() as upstream: … upstream.url`."""

    def __init__(self, *, port: int = 0, delay_ms: int = CHUNK_DELAY_MS) -> None:
        self._state = State(delay_ms=delay_ms)
        handler = type("Handler", (_Handler,), {"state": self._state})
        self._server = _Server((LOOPBACK, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="upstream", daemon=True)

    @property
    def url(self) -> str:
        """Where it is, without `/v1`."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Json]:
        """The journal: every request since the last reset, oldest first."""
        return [seen.as_json() for seen in self._state.seen]

    def script(self, **script: Any) -> None:
        self._state.scripts.append(script)

    def reset(self) -> None:
        self._state.clear()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in model provider with OpenAI's shapes.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=int, default=CHUNK_DELAY_MS)
    chosen = parser.parse_args()
    with Upstream(port=chosen.port, delay_ms=chosen.delay_ms) as upstream:
        print(f"{upstream.url}/v1", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()

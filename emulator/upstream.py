"""A stand-in model provider: OpenAI's published shapes, deterministic replies, a script for everything unusual, a bill.

By default the stand-in behaves as a provider in a bad hour: a call is generated and billed to the end although the
client has hung up, there are hidden tokens, and text and images are counted by rules that the backend does not share.

Scripts are dictionaries, told in process (`Upstream.script`), by `POST /__/script`, in the header `X-Stand-In-Script`,
or in the last user message as `<<stand-in {…}>>`; of those that wait, the oldest that fits a request is used. Keys, all
optional:

    contains, model          the requests to serve: text of the last user message, prompt or texts to embed; the model
    times                    number of requests to serve (default 1; 0 means always)
    reply                    the text answered; one chunk per word
    chunk_tokens             output tokens of each chunk (default 1)
    reasoning_tokens         hidden tokens before the first chunk (default by `reasoning_effort`, for o1, o3, o4, gpt-5)
    usage                    {"prompt_tokens": …, "completion_tokens": …} as given; null: no usage is reported
    usage_delay_ms           wait before the usage is reported
    think_ms, delay_ms       wait before anything is generated, and before each chunk
    pause_at                 wait after these chunks (number or list) for `go` (`POST /__/go`) or the client to leave
    error                    {"status": 429, "code": …, "message": …} instead of an answer, and of a bill
    fail_after               number of chunks after which the stream breaks: cut off or, with "as": "event", by an error
    ends                     true: a client that hangs up a stream ends the bill (default: as the stand-in does)
    ignores_limit            true: more is generated than was asked for
    tool_calls               [{"name": …, "arguments": {…}}] instead of text; in a prompt: once, where they are offered
    recall                   in a prompt: a regular expression; the reply is its first group in the latest message
    finish_reason            instead of "stop"
    b64_json, url            the answer instead of a picture; "own": an address of this stand-in

`GET /__/journal` tells every request with its bill: tokens billed (reasoning among the output), tokens delivered, how
the call ended, whether the bill was reported. `GET /__/bill` adds all bills up. `DELETE /__/journal` forgets them.
"""

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any, Self

from emulator.ports import LOOPBACK
from emulator.provider.call import REPLY, Call, tokens_of
from emulator.provider.chat import answer_chat
from emulator.provider.journal import Bill, Seen, State
from emulator.provider.painting import painted
from emulator.provider.pictures import answer_embeddings, answer_images
from emulator.provider.responses import answer_response
from emulator.provider.wire import ClientGone, Wire

__all__ = ["REPLY", "Upstream", "tokens_of"]

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-nano", "o4-mini", "gpt-image-1", "text-embedding-3-small")
PRICES = {
    "gpt-4o-mini": ("0.00000015", "0.0000006"),
    "gpt-4o": ("0.0000025", "0.00001"),
    "o4-mini": ("0.0000011", "0.0000044"),
}
SCRIPT_HEADER = "X-Stand-In-Script"

Json = dict[str, Any]

ANSWERS: Mapping[str, Callable[[Call], None]] = {
    "/chat/completions": answer_chat,
    "/images/generations": answer_images,
    "/embeddings": answer_embeddings,
    "/responses": answer_response,
}


class _Handler(Wire):
    state: State

    def _get(self) -> None:
        if self.path == "/__/journal":
            self.json({"requests": [seen.as_json() for seen in self.state.seen]})
        elif self.path == "/__/bill":
            self.json(billed_in_all(self.state.seen).as_json())
        elif self.path.startswith("/__/pictures/"):
            self.send_bytes(painted(self.path, "64x64"), "image/png")
        elif self.path.endswith("/models"):
            self.json({"object": "list", "data": [_listed(name) for name in MODELS]})
        else:
            self.error({"status": HTTPStatus.NOT_FOUND, "message": f"no such path: {self.path}"})

    def _delete(self) -> None:
        self.state.clear()
        self.json({})

    def _post(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.path == "/__/script":
            self.state.scripts.append(body)
            self.json({})
        elif self.path == "/__/go":
            self.state.go(**body)
            self.json({})
        else:
            self._answer(body)

    do_GET, do_DELETE, do_POST = _get, _delete, _post  # noqa: N815  # as the base class looks for them

    def _answer(self, body: Json) -> None:
        script = {**self.state.take(body), **json.loads(self.headers.get(SCRIPT_HEADER) or "{}")}
        call = Call(wire=self, state=self.state, seen=self.state.note(self.path, body), body=body, script=script)
        try:
            if error := self._refusal(script):
                call.pause()
                call.seen.outcome, call.seen.status = "refused", int(error["status"])
                self.error(error)
            else:
                next(answer for path, answer in ANSWERS.items() if self.path.endswith(path))(call)
        except (OSError, ClientGone):
            call.aborted()

    def _refusal(self, script: Json) -> Json | None:
        """Return the error that answers this request instead, or None."""
        if script.get("error"):
            return dict(script["error"])
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return {"status": HTTPStatus.UNAUTHORIZED, "message": "no API key was given"}
        if not self.path.endswith(tuple(ANSWERS)):
            return {"status": HTTPStatus.NOT_FOUND, "message": f"no such path: {self.path}"}
        return None


def billed_in_all(calls: list[Seen]) -> Bill:
    """Return one bill with the sums of all bills."""
    counted = ("input_tokens", "output_tokens", "reasoning_tokens", "delivered_tokens", "images")
    sums = {name: sum(getattr(seen.bill, name) for seen in calls) for name in counted}
    return Bill(**sums, is_reported=all(seen.bill.is_reported for seen in calls))


def _listed(name: str) -> Json:
    """Return a model as today's routers list models: with a price per token, if the model has a price."""
    listed: Json = {"id": name, "object": "model", "created": 0, "owned_by": "laptop"}
    if name in PRICES:
        prompt, completion = PRICES[name]
        listed |= {"pricing": {"prompt": prompt, "completion": completion}, "context_length": 128_000}
    return listed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up between two requests."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Upstream:
    """The stand-in as a part of this process: `with Upstream() as upstream: … upstream.url`.

    `ends`: a client that hangs up a stream ends the bill, as with OpenAI and Azure.
    """

    def __init__(self, *, port: int = 0, delay_ms: int = 0, ends: bool = False) -> None:
        self._state = State(delay_ms=delay_ms, ends=ends)
        handler = type("Handler", (_Handler,), {"state": self._state})
        self._server = _Server((LOOPBACK, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="upstream", daemon=True)

    @property
    def url(self) -> str:
        """Return the stand-in's address, without `/v1`."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Json]:
        """Return the journal: every request since the last reset, oldest first."""
        return [seen.as_json() for seen in self._state.seen]

    def requests_about(self, text: str) -> list[Json]:
        """Return the journal of the requests whose question contains this text, oldest first."""
        return [seen.as_json() for seen in self._state.asked(text)]

    def script(self, **script: Any) -> None:
        self._state.scripts.append(script)

    def go(self, contains: str = "", steps: int = 1) -> None:
        """Let calls that wait at a chunk (`pause_at`) go on."""
        self._state.go(contains, steps)

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
    parser.add_argument("--delay-ms", type=int, default=0)
    parser.add_argument("--ends", action="store_true", help="a client that hangs up a stream ends what it is billed")
    chosen = parser.parse_args()
    with Upstream(port=chosen.port, delay_ms=chosen.delay_ms, ends=chosen.ends) as upstream:
        print(f"{upstream.url}/v1", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()

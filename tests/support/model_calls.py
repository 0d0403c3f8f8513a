"""One model call as a test makes it: asked, read to a chunk, stopped, and held to the law."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from tests.support.billed_callers import CREDIT, Instance, Json, Killed, Listening, Paid, Payer, Stage, until

WORDS = "One two three four"
READING_ON = "reading on"
"""The name of threads that read on."""
NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of call: its model and its question. `is_hidden`: it uses tokens that nobody sees."""

    model: str
    text: str
    picture: str = ""
    is_hidden: bool = False


@dataclass
class Asking:
    """One call of one payer. `asked` is read to some chunk, where the provider waits until it may go on."""

    stage: Stage
    kind: Kind
    limit: str
    payer: Payer
    marker: str

    def ask(self, at: int, instance: Instance | None = None, key: str = "", **script: Any) -> Listening:
        """The call, read to its chunk `at`."""
        self.stage.upstream.script(**{"contains": self.marker, "reply": WORDS, **script})
        headers = {"X-Request-Id": self._request_id, **({"Idempotency-Key": key} if key else {})}
        return self.payer.stream(self._path, self._body, instance=instance, headers=headers).read(at)

    def stop(self, instance: Instance | None = None) -> Json:
        """Ask to stop the call, and hear what it costs."""
        stopping = self._path.replace("/messages", "/stop") if self.limit == "conversation" else "/openai/stop"
        told = self.payer.call("POST", stopping, {"request_id": self._request_id}, instance=instance)
        assert told.status_code == 200, told.text
        return dict(told.json)

    @property
    def _request_id(self) -> str:
        return f"r-{self.marker.strip('[]').replace(' ', '-')}"

    def read_so_far(self, chunks: int) -> tuple[int, int]:
        """The call's tokens up to this chunk: input and output."""
        (seen,) = self.stage.billed(self.marker)
        return seen["bill"]["input_tokens"], seen["bill"]["reasoning_tokens"] + chunks

    def go(self) -> None:
        """Let the provider go on to its end."""
        self.stage.upstream.go(self.marker, 10)

    def check(self, paid: Paid) -> None:
        """The law, for a call that our own process outlived."""
        (seen,) = self.stage.billed(self.marker)
        owed = self.stage.cost(seen)
        assert paid.absorbed == 0
        if seen["bill"]["is_reported"]:
            assert paid.charged == owed
        elif self.is_visible:
            assert min(owed, paid.held) <= paid.charged <= paid.held
        else:
            assert paid.charged == paid.held

    @property
    def is_visible(self) -> bool:
        """True if the provider's bill ends with the connection and everything it counts can be seen."""
        return self.stage.ends and not self.kind.is_hidden

    @cached_property
    def _path(self) -> str:
        if self.limit != "conversation":
            return "/openai/chat/completions"
        made = self.payer.call("POST", "/chat/conversations", {"model": self.kind.model})
        return f"/chat/conversations/{made.json['id']}/messages"

    @property
    def _body(self) -> Json:
        content = f"{self.kind.text} {self.marker}"
        if self.limit == "conversation":
            return {"content": content}
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{self.kind.picture}"}}
        parts = [{"type": "text", "text": content}, picture] if self.kind.picture else content
        body: Json = {"model": self.kind.model, "messages": [{"role": "user", "content": parts}]}
        limit = {"max_completion_tokens": 200} if self.limit == "limit" else {}
        return {**body, **limit}


def asking(stage: Stage, kind: Kind, limit: str = "no limit") -> Asking:
    """Somebody new who makes this kind of call within this limit."""
    payer = stage.payer(amount="50") if limit == "capped key" else stage.payer()
    return Asking(stage=stage, kind=kind, limit=limit, payer=payer, marker=f"[cell {next(NUMBERS)}]")


@contextmanager
def dying(instance: Instance) -> Iterator[Instance]:
    """An instance that may be killed inside, and lives again behind the block for the next test's users."""
    before = set(threading.enumerate())
    try:
        yield instance
        until(lambda: not [each for each in threading.enumerate() if each not in before and each.name == READING_ON])
    finally:
        instance.documents.is_dead = False


@contextmanager
def reading(listening: Listening) -> Iterator[None]:
    """The call's client reads on meanwhile, to the end."""
    thread = threading.Thread(target=listening.drain)
    thread.start()
    yield
    thread.join()


def read_to_death(listening: Listening) -> None:
    with suppress(Killed):
        listening.drain()


def micro(credits_: str) -> int:
    return int(Decimal(credits_) * CREDIT)

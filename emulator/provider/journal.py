"""Memory of the stand-in provider: waiting scripts, received requests, and the bill of each call."""

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any

from emulator.provider.prompt_scripts import conversation, prompt_script
from emulator.provider.tokens import content_text

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Bill:
    """Bill of a call. `output_tokens` include the hidden `reasoning_tokens`. `images` counts painted images."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    delivered_tokens: int = 0
    images: int = 0
    is_reported: bool = False

    def as_json(self) -> Json:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True, kw_only=True)
class Seen:
    """Request in the journal.

    `outcome` is open, answered, refused, cut (by a script) or aborted (the client went away). `whole` is the bill if
    the call is generated to its end.
    """

    id: int
    path: str
    body: Json
    outcome: str = "open"
    status: int = 200
    chunks_sent: int = 0
    usage: Json | None = None
    finish_reason: str | None = None
    bill: Bill = field(default_factory=Bill)
    whole: Bill = field(default_factory=Bill)
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def as_json(self) -> Json:
        told = {name: getattr(self, name) for name in self.__slots__ if name not in {"bill", "whole", "gate"}}
        return {**told, "bill": self.bill.as_json()}

    def bill_to_the_end(self) -> None:
        """Bill all that would have been generated; what was delivered stays as it is."""
        for name in ("input_tokens", "output_tokens", "reasoning_tokens", "images"):
            setattr(self.bill, name, getattr(self.whole, name))


@dataclass(slots=True)
class State:
    """The scripts that wait and the requests that came, for all threads of one server."""

    delay_ms: int = 0
    ends: bool = False
    scripts: list[Json] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def take(self, body: Json) -> Json:
        """Return the script for this request, and count the use; {} if no script fits.

        Instructions in the prompt itself are added to the script.
        """
        return {**self._waiting(asked_text(body), body.get("model")), **prompt_script(body)}

    def _waiting(self, asked: str, model: Any) -> Json:
        with self.lock:
            for script in self.scripts:
                if script.get("contains", "") in asked and script.get("model") in {None, model}:
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

    def go(self, contains: str = "", steps: int = 1) -> None:
        """Let the calls whose question contains this pass the next `steps` chunks at which they wait."""
        for seen in self.asked(contains):
            seen.gate.release(steps)

    def asked(self, contains: str) -> list[Seen]:
        """Return the requests whose question contains this, oldest first."""
        with self.lock:
            return [seen for seen in self.seen if contains in asked_text(seen.body)]

    def clear(self) -> None:
        with self.lock:
            self.scripts.clear()
            self.seen.clear()


def asked_text(body: Json) -> str:
    """Return the text of the request's last user message, of the prompt, or of the texts to embed."""
    said = reversed(conversation(body))
    asked = next((content_text(message.get("content")) for message in said if message.get("role") == "user"), None)
    if asked is not None:
        return asked
    return str(body.get("prompt") or " ".join(each for each in body.get("input") or () if isinstance(each, str)))

"""Callers of the whole application over memory, with the real OpenAI adapters, and a provider that bills the truth."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any, Literal, Self

from flask import Flask

from emulator.seed import MODELS
from emulator.upstream import Upstream
from functions.http.app import create_app
from shared.ai.openai.passthrough import Passthroughs
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.bootstrap import Services, in_memory
from shared.kernel.clock import SystemClock
from shared.kernel.documents import Documents
from shared.kernel.ids import LotId, Uid, new_id, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Grant
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.identity import MemoryIdentity
from shared.platform.memory.publisher import MemoryPublisher
from shared.platform.openai.chat import OpenAIChatModel
from shared.platform.openai.images import OpenAIImageModel
from shared.platform.openai.passthrough import OpenAIPassthrough
from shared.platform.openai.thinking import OpenAIThinkingModel
from shared.platform.openai.upstream import OpenAIUpstream

Json = dict[str, Any]
Profile = Literal["laptop", "openai"]

CREDIT = 1_000_000
CREDITS_PER_USD = 100
SETTLED_SECONDS_MAX = 60.0
POLL_SECONDS = 0.002
REASONER: Mapping[str, Any] = {
    "display_name": "Reasoner",
    "input_usd_per_mtok": "1.10",
    "output_usd_per_mtok": "4.40",
    "context_window": 200_000,
    "max_output_tokens": 20_000,
    "expected_output_tokens": 400,
    "capabilities": ["chat", "streaming", "tools", "reasoning"],
}
OFFERED: Mapping[str, Mapping[str, Any]] = {**MODELS, "o4-mini": REASONER}


class Killed(SystemExit):
    """The process is dead. No handler of ours catches this, and a thread that meets it ends without a word."""


class MortalDocuments:
    """The store as one process sees it. Once that process is dead, nothing it does arrives."""

    def __init__(self, inner: Documents) -> None:
        self._inner = inner
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        """Every call of the store; raises Killed in a dead process."""
        if self.is_dead:
            raise Killed
        return getattr(self._inner, name)


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of `api`."""

    services: Services
    app: Flask
    documents: MortalDocuments


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What an account's journal says of its calls; µcr. `held` was set aside in all, `absorbed` was ours to bear."""

    charged: int
    held: int
    absorbed: int


class Stage:
    """One database, one clock, one provider; any number of instances between them."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        profile: Profile = "laptop",
        think_seconds: float = 20.0,
        is_live: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.upstream, self.ends = upstream, profile == "openai"
        self.clock: Any = SystemClock() if is_live else ManualClock()
        self.documents = MemoryDocuments()
        self._identity, self._publisher = MemoryIdentity(self.clock), MemoryPublisher()
        self._env = {"AI_PLATFORM_PROFILE": profile, **(env or {})}
        asked: Json = {"base_url": f"{upstream.url}/v1", "api_key": "sk-laptop"}
        self._passthrough = OpenAIPassthrough(OpenAIUpstream(**asked))
        self._models: dict[str, Any] = {
            "chat_model": OpenAIChatModel(OpenAIUpstream(**asked)),
            "thinking_model": OpenAIThinkingModel(OpenAIUpstream(**asked), seconds=think_seconds),
            "image_model": OpenAIImageModel(OpenAIUpstream(**asked)),
        }
        self.first = self.instance()
        for name, fields in OFFERED.items():
            self.first.services.models.catalogue.put(name, {"kind": "chat", **fields})

    def __enter__(self) -> Self:
        """The stage is set already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections to the provider."""
        for each in (self._passthrough, *self._models.values()):
            each.close()

    def instance(self) -> Instance:
        """Another process, which can be killed."""
        documents = MortalDocuments(self.documents)
        parts = {**self._models, "documents": documents, "identity": self._identity, "publisher": self._publisher}
        passthroughs = Passthroughs({DEFAULT_UPSTREAM: self._passthrough})
        services = in_memory(self._env, clock=self.clock, passthroughs=passthroughs, **parts)
        return Instance(services, create_app(services), documents)

    def payer(self, credits_: float = 1_000, **cap: Any) -> "Payer":
        """Somebody with so many credits; with `cap` they call with an API key that may spend no more."""
        uid = self._identity.sign_up(f"{new_id('p')}@example.com")
        ledger = self.first.services.credits.ledger
        ledger.open(uid)
        operation, lot = operation_id("test", new_id("grant")), LotId(new_id("lot"))
        amount = Micro(int(credits_ * CREDIT))
        ledger.execute(uid, Grant(operation=operation, amount=amount, lot=lot, source="test"))
        payer = Payer(stage=self, uid=uid, token=self._identity.token(uid), granted=amount)
        return payer.with_key(**cap) if cap else payer

    @staticmethod
    def price(model: str, input_tokens: int, output_tokens: int) -> int:
        """What the provider asks for so many tokens; µcr, rounded up."""
        usd = Fraction(OFFERED[model]["input_usd_per_mtok"]) * input_tokens
        usd += Fraction(OFFERED[model].get("output_usd_per_mtok", "0")) * output_tokens
        return ceil(usd * CREDITS_PER_USD)

    def billed(self, marker: str) -> list[Json]:
        """What the provider saw of the calls whose question holds this marker, each with its bill."""
        return self.upstream.requests_about(marker)

    def owed(self, marker: str) -> int:
        """What the provider's bill for these calls comes to; µcr."""
        return sum(self.cost(seen) for seen in self.billed(marker))

    def cost(self, seen: Json) -> int:
        """What one call is billed; µcr."""
        return self.price(seen["body"]["model"], seen["bill"]["input_tokens"], seen["bill"]["output_tokens"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Somebody with credits and a token or a key."""

    stage: Stage
    uid: Uid
    token: str
    granted: int

    def with_key(self, amount: str, scopes: tuple[str, ...] = ("chat", "agents"), period: str = "total") -> "Payer":
        """The same person, calling with a new API key that has a spend cap."""
        cap = {"amount": amount, "period": period}
        made = self.call("POST", "/api-keys", {"name": "k", "scopes": list(scopes), "spend_cap": cap})
        assert made.status_code == 201, made.text
        return Payer(stage=self.stage, uid=self.uid, token=made.json["key"], granted=self.granted)

    def call(
        self, method: str, path: str, body: Any = None, *, instance: Instance | None = None, **options: Any
    ) -> Any:
        """One request, answered by that instance."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        client = (instance or self.stage.first).app.test_client()
        whole = {"buffered": True, **options}
        return client.open(f"/v1{path}", method=method, json=body, headers=headers, **whole)

    def stream(self, path: str, body: Json, **options: Any) -> "Listening":
        """A streamed call that has been answered with its first byte."""
        return Listening(self.call("POST", path, {**body, "stream": True}, buffered=False, **options))

    def paid(self) -> Paid:
        """What the journal says, once nothing is held any more."""
        ledger = self.stage.first.services.credits.ledger
        postings = [each for body in ledger.bodies(self.uid, 1, ledger.balance(self.uid).seq) for each in _moved(body)]
        balance = ledger.balance(self.uid)
        return Paid(
            charged=self.granted - balance.total,
            held=sum(each["amount"] for each in postings if each["to"] == "held"),
            absorbed=sum(each["amount"] for each in postings if each["from"] == "absorbed"),
        )

    @property
    def total(self) -> int:
        """What there is, held credits included; µcr."""
        return self.stage.first.services.credits.ledger.balance(self.uid).total

    @property
    def held(self) -> int:
        """What is set aside now; µcr."""
        return self.stage.first.services.credits.ledger.balance(self.uid).held

    @property
    def accrued(self) -> int:
        """What the open holds would charge if their time were up; µcr."""
        account = self.stage.first.services.credits.ledger._account(self.uid)
        return sum(hold.accrued for hold in account.holds.values())

    def settled(self) -> Paid:
        """What was paid, after waiting until nothing is held."""
        until(lambda: self.held == 0)
        return self.paid()

    def swept(self, *instances: Instance) -> Paid:
        """What was paid once the holds of dead processes are over."""
        self.stage.clock.advance(3_600_000)
        for each in instances or (self.stage.first,):
            each.services.credits.ledger.expire_due(self.uid)
        return self.paid()


@dataclass(slots=True)
class Listening:
    """A stream as its client reads it."""

    response: Any
    pieces: list[str] = field(default_factory=list)
    _frames: Iterator[Any] = field(init=False)

    def __post_init__(self) -> None:
        self._frames = iter(self.response.response)

    @property
    def is_refused(self) -> bool:
        """True if the call was answered with a problem instead of a stream."""
        return bool(self.response.status_code >= 400)

    def read(self, pieces: int) -> "Listening":
        """Read until so many pieces of text have come, or the end."""
        while len(self.pieces) < pieces and (frame := next(self._frames, None)) is not None:
            self._take(frame)
        return self

    def drain(self) -> "Listening":
        """Read to the end."""
        for frame in self._frames:
            self._take(frame)
        self.response.close()
        return self

    def leave(self) -> None:
        """Hang up. What a dead process does about it arrives nowhere."""
        with suppress(Killed):
            self.response.close()

    def _take(self, frame: Any) -> None:
        text = frame.decode() if isinstance(frame, bytes) else str(frame)
        self.pieces += [piece for line in text.splitlines() if (piece := _text_of(line))]


def until(holds: Callable[[], object], seconds: float = SETTLED_SECONDS_MAX) -> None:
    """Wait for what other threads bring about, looking often."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        pause.wait(POLL_SECONDS)


def _text_of(line: str) -> str:
    """The text in one line of a stream; all three shapes."""
    if not line.startswith("data: {"):
        return ""
    told = json.loads(line.removeprefix("data: "))
    if "choices" in told:
        return next((each["delta"].get("content") or "" for each in told["choices"]), "")
    delta = told.get("delta", "")
    return delta if isinstance(delta, str) else ""


def _moved(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(body.get("postings") or ())

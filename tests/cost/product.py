"""The whole product in memory: each function has services of its own, and triggers fire. Everything is counted."""

import contextlib
import io
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import main
from functions.edge import HANDLERS
from functions.http.app import create_app
from shared.ai.openai.passthrough import Passthroughs
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.bootstrap import Services, in_memory
from shared.kernel.clock import DAY
from shared.kernel.documents import Version, Write
from shared.kernel.events import TopicMessage
from shared.kernel.ids import LotId, Uid, new_id, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Grant
from shared.payments.ports import Notice, ProviderName
from shared.payments.providers import PROVIDERS
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.chat_model import ScriptedChatModel
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.identity import MemoryIdentity
from shared.platform.memory.image_model import ScriptedImageModel
from shared.platform.memory.objects import MemoryObjects
from shared.platform.memory.passthrough import ScriptedPassthrough
from shared.platform.memory.payments import MemoryProvider
from shared.platform.memory.publisher import MemoryPublisher
from shared.platform.memory.thinking import ScriptedThinkingModel
from tests.cost.bill import Bill
from tests.cost.counting import Commit, CountingDocuments, CountingPublisher
from tests.cost.triggers import Event, document_events, topic_event, topic_functions, watched

CREDIT = 1_000_000
LOGIN = 365 * DAY
ENVIRONMENT: Mapping[str, str] = {
    "PAYPAL_API_BASE": "https://api-m.sandbox.paypal.com",
    "PUBLIC_URL": "https://api.example",
    "RATE_LIMIT_PER_MINUTE": "60000",
    "RATE_LIMIT_BURST": "60000",
    "DEFAULT_MODEL": "small",
    "DEFAULT_IMAGE_MODEL": "painter",
}
MODELS: Mapping[str, Mapping[str, Any]] = {
    "small": {
        "kind": "chat",
        "display_name": "Small",
        "input_usd_per_mtok": "0.15",
        "output_usd_per_mtok": "0.6",
        "context_window": 1_000_000,
        "max_output_tokens": 16_384,
        "expected_output_tokens": 64,
        "capabilities": ["chat", "tools"],
    },
    "embedder": {
        "kind": "embedding",
        "display_name": "Embedder",
        "input_usd_per_mtok": "0.02",
        "context_window": 300_000,
        "capabilities": ["embeddings"],
    },
    "painter": {"kind": "image", "image_usd": "0.01"},
}


@dataclass
class Product:
    """One project: a store, a clock, providers, and one instance of each function. `fires`: triggers start functions.

    An event runs right after its commit, while the caller still works, as on another instance. A function handles its
    events one after the other.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryDocuments = field(default_factory=MemoryDocuments)
    thinking_model: Any = field(default_factory=ScriptedThinkingModel)
    bill: Bill = field(default_factory=Bill)
    fires: bool = True
    identity: MemoryIdentity = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.identity is None:
            self.identity = MemoryIdentity(self.clock)  # type: ignore[unreachable]
        self.publisher, self.alerts, self.objects = MemoryPublisher(), MemoryAlerts(), MemoryObjects()
        self.providers: dict[ProviderName, MemoryProvider] = {
            name: MemoryProvider(self.clock, name) for name in PROVIDERS
        }
        self.chat_model, self.passthrough, self.image_model = (
            ScriptedChatModel(),
            ScriptedPassthrough(),
            ScriptedImageModel(),
        )
        self._waiting: deque[tuple[str, Event]] = deque()
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._instances: dict[str, Services] = {}
        self.forget_instances()
        for name, fields in MODELS.items():
            self.of("api").models.catalogue.put(name, fields)
        self.bill.clear()

    def of(self, function: str) -> Services:
        """Return the services of a function's one instance."""
        if function not in self._instances:
            self._instances[function] = self._built(function)
        return self._instances[function]

    def forget_instances(self) -> None:
        """Let fresh instances serve everything from now on."""
        self._instances.clear()
        self.client = create_app(self.of("api")).test_client()

    def know_keys(self) -> None:
        """Let every running instance read the registry of keys, unless it has done so lately."""
        for services in self._instances.values():
            services.credits.known_keys.current()

    def copy(self) -> "Product":
        """Return a product with the same documents and people, and fresh instances of everything else."""
        store = MemoryDocuments()
        store._documents, store._ticks = dict(self.store._documents), self.store._ticks
        store._ids = {name: list(ids) for name, ids in self.store._ids.items()}
        return Product(env=self.env, clock=ManualClock(self.clock.now()), store=store, identity=self.identity)

    def person(self, *roles: str, credits_: int = 1_000, is_email_verified: bool = True) -> "Caller":
        """Sign somebody up, and grant credits."""
        claims = {"roles": list(roles)}
        uid = self.identity.sign_up(f"{new_id('p')}@example.com", claims=claims, is_email_verified=is_email_verified)
        if credits_:
            self.grant(uid, credits_)
        return Caller(product=self, uid=uid, token=self.identity.token(uid, lifetime=LOGIN))

    def grant(self, uid: Uid, credits_: int) -> None:
        """Grant whole credits by a command of the ledger."""
        ledger, operation = self.of("api").credits.ledger, operation_id("test", new_id("grant"))
        ledger.open(uid)
        amount, lot = Micro(credits_ * CREDIT), LotId(new_id("lot"))
        ledger.execute(uid, Grant(operation=operation, amount=amount, lot=lot, source="test"))

    def invoke(self, function: str, work: Callable[[Services], object]) -> None:
        """Run one invocation of a function, and the events that the invocation causes."""
        self.bill.add(function, "invocation", "")
        with silence():
            work(self.of(function))
        self.drain()

    def schedule(self, name: str) -> None:
        """Run a scheduled function once."""
        self.invoke(name, lambda services: services.jobs.run_schedule(name))

    def deliver(self, provider: ProviderName, first: int = 0) -> int:
        """Deliver a provider's notices from number `first` to the webhook. Return the number of all notices."""
        for notice in self.providers[provider].events[first:]:
            self.invoke(PROVIDERS[provider].webhook, partial(_store, notice))
        return len(self.providers[provider].events)

    def drain(self) -> None:
        """Run all waiting events, except those of functions that are running: theirs run later."""
        while (event := self._next_event()) is not None:
            function, told = event
            self.bill.add(function, "invocation", "")
            try:
                with silence():
                    getattr(main, function)
                    HANDLERS[function](told, self.of(function))
            finally:
                self._running.discard(function)

    def _next_event(self) -> tuple[str, Event] | None:
        with self._lock:
            for event in self._waiting:
                if event[0] not in self._running:
                    self._waiting.remove(event)
                    self._running.add(event[0])
                    return event
            return None

    def _built(self, function: str) -> Services:
        adapters: dict[str, Any] = {
            "documents": CountingDocuments(self.store, function, self.bill, self._committed),
            "publisher": CountingPublisher(self.publisher, function, self.bill, self._published),
            "identity": self.identity,
            "alerts": self.alerts,
            "objects": self.objects,
            "payment_providers": self.providers,
            "chat_model": self.chat_model,
            "passthroughs": Passthroughs({DEFAULT_UPSTREAM: self.passthrough}),
            "image_model": self.image_model,
            "thinking_model": self.thinking_model,
        }
        return in_memory({**ENVIRONMENT, **self.env}, clock=self.clock, **adapters)

    def _committed(self, writes: Sequence[Write], commit: Commit) -> list[Version]:
        paths = watched(writes) if self.fires else []
        before = self.store.get_all(paths)
        versions = commit()
        for path, old, new in zip(paths, before, self.store.get_all(paths), strict=True):
            self._waiting.extend(document_events(path, old, new, self.clock.now()))
        self.drain()
        return versions

    def _published(self, message: TopicMessage) -> None:
        function = topic_functions().get(message.topic)
        if self.fires and function is not None:
            self._waiting.append((function, topic_event(message, len(self._waiting), self.clock.now())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody with a token or an API key."""

    product: Product
    uid: Uid
    token: str

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """Return the answer's JSON, or the text of an answer that is no JSON. Raises AssertionError for a refusal."""
        headers = {"Authorization": f"Bearer {self.token}", **({"Idempotency-Key": key} if key else {})}
        sent: dict[str, Any] = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        self.product.bill.add("api", "invocation", "")
        with silence():
            answer = self.product.client.open(f"/v1{path}", method=method, headers=headers, **sent)
            text = answer.get_data(as_text=True)
        self.product.drain()
        assert answer.status_code < 400, text
        return answer.json if answer.is_json and text else text

    def at(self, product: Product) -> "Caller":
        """Return the same person at a copy of the product."""
        return replace(self, product=product)

    def get(self, path: str) -> Any:
        """Read."""
        return self.call("GET", path)

    def post(self, path: str, body: Any = None, key: str | None = None) -> Any:
        """Act."""
        return self.call("POST", path, body, key)

    def with_api_key(self, *scopes: str) -> "Caller":
        """Return the same person with a new API key."""
        made = self.post("/api-keys", {"name": "k", "scopes": list(scopes)})
        return Caller(product=self.product, uid=self.uid, token=made["key"])


def _store(notice: Notice, services: Services) -> None:
    services.payments.inbox.store(notice)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Drop the log lines of the work inside."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield

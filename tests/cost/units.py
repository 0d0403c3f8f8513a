"""Units of work whose cost is measured: how each is done, and the most that it may cost."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from shared.ai.agents.thinking import ThinkRequest, Thought, ToolCall
from shared.ai.tokens import Usage
from shared.kernel.clock import DAY, HOUR, MINUTE, Millis, from_datetime
from shared.kernel.documents import Query
from shared.kernel.ids import new_id
from shared.ledger.log.entry_proofs import PROOF_READS_MAX
from shared.payments.ports import ProviderName
from shared.platform.memory.passthrough import response
from shared.sagas.engine.due_items import SELDOM
from shared.users.sign_ups import SHARDS
from tests.cost.bill import Line
from tests.cost.metering import MEASURED, Measured, measure
from tests.cost.product import Caller, Product
from tests.support.logged_accounts import log_in_large_tree

MESSAGE = {"content": "hi", "max_output_tokens": 60}
COMPLETION = {"model": "small", "max_tokens": 60, "messages": [{"role": "user", "content": "hi"}]}
RESPONSE = {"model": "small", "max_output_tokens": 60, "input": "hi"}
LEARNT = 40
"""Calls after which a model's expected answer is known, so that its document is seldom written."""
SPOKEN = 74
"""Messages of a conversation in its steady state."""
LEAVES = 2**27
LONG, VERY_LONG = 100, 984 if os.environ.get("COST") == "long" else 240
"""Messages of long conversations before the measured turns, none of which renews the summary. The short form of the
tests takes 240 for 984: both cost what is pinned."""
MINUTES = SELDOM // MINUTE
"""Measured minutes in which nothing happens: each list that is seldom looked at is looked at once."""
TOOLS = 10
"""Thoughts with a tool in the measured agent task."""
ABANDONED: Mapping[ProviderName, Millis] = {"stripe": HOUR, "paypal": 3 * DAY}
"""Time after which a provider ends a checkout that nobody pays."""
FOLLOWED_MAX = 12 * DAY
DATED = ("provider_books", "provider_listings", "ledger_log", "**/sealed (query)")
"""Kinds of documents whose reads and writes follow the clock, not the measured unit."""
CRYPTO = {"CRYPTO_NETWORKS": "base", "BASE_RPC_URLS": "https://base.example"}
CRYPTO_MORE = {**CRYPTO, "CRYPTO_NETWORKS": "base,bitcoin", "BITCOIN_API_URLS": "https://bitcoin.example/api"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit of work, its measurement, and the most that it may cost by column."""

    name: str
    title: str
    run: Callable[[], Measured]
    most: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Talk:
    """A product in which somebody has a conversation, and somebody else another."""

    product: Product
    ann: Caller
    bob: Caller
    conversation: str
    other: str

    def copy(self) -> "Talk":
        """Return the same talk over a copy of the documents."""
        product = self.product.copy()
        return replace(self, product=product, ann=self.ann.at(product), bob=self.bob.at(product))


@cache
def _talk(messages: int) -> Talk:
    """Return a conversation with this many messages. Each longer one continues the shorter."""
    shorter = max((each for each in (0, SPOKEN, LONG, VERY_LONG) if each < messages), default=None)
    talk = _empty_talk() if shorter is None else _talk(shorter).copy()
    talk.product.fires = False
    for _ in range((messages - (shorter or 0)) // 2):
        talk.ann.post(talk.conversation, MESSAGE)
    return talk


def _empty_talk() -> Talk:
    product = Product()
    ann, bob = product.person(credits_=100_000), product.person()
    return Talk(product, ann, bob, conversation_of(ann), conversation_of(bob))


def _turns(
    messages: int = SPOKEN, *, fresh: bool = False, elsewhere: bool = False, keyed: bool = False, **body: object
) -> Measured:
    """Measure turns of a conversation with this many messages.

    `fresh`: each turn is the first call of a new instance. `elsewhere`: the instance has served others before.
    """
    talk = _talk(messages).copy()

    def before() -> None:
        if fresh or elsewhere:
            talk.product.forget_instances()
        if elsewhere:
            talk.bob.post(talk.other, MESSAGE)

    def act() -> None:
        talk.ann.post(talk.conversation, {**MESSAGE, **body}, key=new_id("k") if keyed else None)

    return measure(talk.product, act, before=before)


def conversation_of(caller: Caller) -> str:
    made = caller.post("/chat/conversations", {"model": "small", "title": "t"})
    return f"/chat/conversations/{made['id']}/messages"


def _by_key(path: str, body: Mapping[str, object], *, keyed: bool = False) -> Measured:
    """Measure calls of an OpenAI route by API key; `keyed` with an idempotency key."""
    product = Product()
    product.passthrough.scripts["/responses"] = [response("Hi.", response_id=f"resp_{n}") for n in range(2 * LEARNT)]
    caller = product.person().with_api_key("chat")
    return measure(
        product, lambda: caller.post(f"/openai/{path}", body, key=new_id("k") if keyed else None), warm=LEARNT
    )


def _image() -> Measured:
    product = Product()
    ann = product.person()
    return measure(product, lambda: ann.post("/images/generate", {"prompt": "fox"}))


def _agent() -> Measured:
    """Measure a thought with a tool: a task with TOOLS of them, less a task that answers at once."""
    whole, empty = _task(TOOLS), _task(0)
    return replace(whole.less(empty, MEASURED), units=MEASURED * TOOLS)


def _task(tools: int) -> Measured:
    product = Product(thinking_model=ToolUser(tools))
    ann = product.person()
    body = {"goal": "Add.", "budget": "100", "tools": ["calculator"], "max_steps": tools + 1}
    return measure(product, lambda: ann.post("/chat/agent-tasks", body))


@dataclass(frozen=True, slots=True)
class ToolUser:
    """Model that uses `at_once` tools in each of so many thoughts, then answers."""

    thoughts: int
    at_once: int = 1
    said: str = ""

    def think(self, request: ThinkRequest) -> Thought:
        """Return the next thought; see `ThinkingModel.think`."""
        done = sum(1 for message in request.messages if message.role == "assistant")
        call = ToolCall(id="again", name="calculator", arguments=json.dumps({"expression": "1+1"}))
        calls = (call,) * (self.at_once if done < self.thoughts else 0)
        return Thought(text=self.said, calls=calls, usage=Usage(input_tokens=100, output_tokens=10))


def _purchase(provider: ProviderName) -> Measured:
    """Measure a purchase from the checkout until nothing about it is due any more, less the minutes meanwhile.

    The app has shown the balance before, and each instance knows the registry of keys, as one that is not idle for
    minutes does.
    """
    product = _shop()
    ann, told = product.person(credits_=0), [0]

    def buy() -> None:
        payment = _checkout(ann, provider)
        product.clock.advance(MINUTE)
        product.providers[provider].approve(payment)
        while len(product.providers[provider].events) > told[0]:
            told[0] = product.deliver(provider, told[0])
        _follow(product, payment)

    def before() -> None:
        ann.get("/credits/balance")
        product.know_keys()

    return without_minutes(product, measure(product, buy, before=before, pause=2 * HOUR))


def _abandoned(provider: ProviderName) -> Measured:
    """Measure a checkout that nobody pays, and that its provider ends, until nothing is due any more."""
    product = _shop()
    ann, told = product.person(credits_=0), [0]
    ann.call("GET", "/credits/balance")  # so that her profile is known

    def leave() -> None:
        payment = _checkout(ann, provider)
        _follow(product, payment, until=product.clock.now() + ABANDONED[provider])
        product.providers[provider].expire(payment)
        told[0] = product.deliver(provider, told[0])
        _follow(product, payment)

    return without_minutes(product, measure(product, leave, warm=0, units=1))


def _shop() -> Product:
    product = Product()
    operator = product.person("admin", credits_=0)
    package = {"title": "1,000 credits", "price": "9.99", "currency": "usd", "credits": "1000"}
    operator.call("PUT", "/admin/packages/small", package)
    product.schedule("every_minute")
    return product


def _checkout(caller: Caller, provider: ProviderName) -> str:
    return str(caller.post("/payments/traditional", {"package_id": "small", "provider": provider})["payment_id"])


def _follow(product: Product, payment: str, until: Millis | None = None) -> None:
    """Run the schedule of every minute when the payment is due, until nothing is due or the time has come."""
    end = product.clock.now() + FOLLOWED_MAX if until is None else until
    while (due := _due_at(product, payment)) is not None and due < end:
        product.clock.advance(max(due - product.clock.now(), MINUTE))
        product.schedule("every_minute")
    if until is not None:
        product.clock.advance(max(0, until - product.clock.now()))


def _due_at(product: Product, payment: str) -> Millis | None:
    saga = product.store.get(f"payment_sagas/{payment}")
    due = saga.data["due_at"] if saga is not None else None
    return from_datetime(due) if isinstance(due, datetime) else None


def without_minutes(product: Product, measured: Measured, pause: Millis = HOUR) -> Measured:
    """Return the measurement without the minutes in it, each as an idle minute of the same product after a pause is.

    The listing of events and the close of days follow the clock, and are left out.
    """
    minutes = measured.lines[Line("every_minute", "invocation", "")]
    return _undated(measured).less(_undated(_minutes(product, pause)), minutes)


def _undated(measured: Measured) -> Measured:
    lines = Counter({line: count for line, count in measured.lines.items() if not line.kind.startswith(DATED)})
    return replace(measured, lines=lines)


def _minutes(product: Product, pause: Millis = MINUTE) -> Measured:
    return measure(product, lambda: product.schedule("every_minute"), pause=pause, units=MINUTES)


def _idle(env: Mapping[str, str] | None = None) -> Measured:
    return _minutes(Product(env=env or {}))


def _crypto() -> Measured:
    """Measure what a second network adds to an idle minute: Bitcoin, which is read block by block."""
    return _idle(CRYPTO_MORE).less(_idle(CRYPTO), MINUTES)


def _read(path: str) -> Measured:
    """Measure a GET of somebody with two hundred entries of history."""
    reader = _reader()
    ann = reader.at(reader.product.copy())
    return measure(ann.product, lambda: ann.get(path))


@cache
def _reader() -> Caller:
    product = Product()
    ann = product.person()
    for _ in range(100):
        _capture(ann)
        product.clock.advance(HOUR)
    return ann


def _proof() -> Measured:
    """Measure receipts of an old entry in a large log: its run stands on a page, and its leaf below three tiles."""
    product = Product()
    ann = product.person(credits_=1)
    log_in_large_tree(product.store, ann.uid, LEAVES, LEAVES // 3)
    return measure(product, lambda: ann.get("/credits/entries/1/proof"))


def _reserve() -> Measured:
    product = Product()
    ann = product.person()
    return measure(product, lambda: _capture(ann))


def _capture(caller: Caller) -> None:
    reservation = caller.post("/credits/reserve", {"amount": "1"})["id"]
    caller.post(f"/credits/reservations/{reservation}/capture", {"amount": "0.5"})


def _sign_up() -> Measured:
    """Measure a sign-up: the first sight of a user, the greeting, and the bonus."""
    product = Product(env={"WELCOME_BONUS_REQUIRES": "verified"})

    def arrive() -> None:
        new = product.person(credits_=0)
        new.get("/me")
        new.post("/credits/welcome-bonus", {})

    # Until all shards of the day exist, some sign-ups would make a document more.
    while len(product.store.query(Query(collection="sign_ups", limit=SHARDS))) < SHARDS:
        arrive()
        product.drain()

    return measure(product, arrive)


CALL = {"reads": 6, "writes": 12, "deletes": 0, "invocations": 3}
TURN = {"reads": 8, "writes": 14, "deletes": 0, "invocations": 3}
PURCHASE = {"reads": 15, "writes": 15}
ABANDONED_MOST = {"calls": 8, "writes": 12}

UNITS: tuple[Unit, ...] = (
    Unit(name="chat_turn", title="Chat turn", run=_turns, most=TURN),
    Unit(
        name="chat_turn_elsewhere",
        title="Chat turn on an instance that has not met the user",
        run=lambda: _turns(elsewhere=True),
        most=TURN,
    ),
    Unit(name="chat_turn_fresh", title="Chat turn as an instance's first call", run=lambda: _turns(fresh=True)),
    Unit(
        name="chat_turn_100",
        title="Chat turn elsewhere after 100 messages",
        run=lambda: _turns(LONG, elsewhere=True),
        most=TURN,
    ),
    Unit(
        name="chat_turn_1000",
        title="Chat turn elsewhere after 1,000 messages",
        run=lambda: _turns(VERY_LONG, elsewhere=True),
        most=TURN,
    ),
    Unit(name="chat_turn_streamed", title="Chat turn, streamed", run=lambda: _turns(stream=True), most=TURN),
    Unit(name="chat_turn_keyed", title="Chat turn with an idempotency key", run=lambda: _turns(keyed=True)),
    Unit(
        name="openai_call",
        title="OpenAI chat completion",
        run=lambda: _by_key("chat/completions", COMPLETION),
        most={**CALL, "kept": 3, "bytes": 2_000},
    ),
    Unit(
        name="openai_call_keyed",
        title="OpenAI chat completion with an idempotency key",
        run=lambda: _by_key("chat/completions", COMPLETION, keyed=True),
    ),
    Unit(
        name="openai_response_stored",
        title="OpenAI Response that is stored",
        run=lambda: _by_key("responses", {**RESPONSE, "store": True}),
    ),
    Unit(
        name="embedding",
        title="OpenAI embedding",
        run=lambda: _by_key("embeddings", {"model": "embedder", "input": "hi"}),
        most={"reads": 4, "writes": 8},
    ),
    Unit(name="image", title="Image", run=_image),
    Unit(name="agent_tool", title="Agent's thought with a tool", run=_agent, most={"reads": 10, "writes": 12}),
    Unit(name="purchase_stripe", title="Purchase by Stripe", run=lambda: _purchase("stripe"), most=PURCHASE),
    Unit(name="purchase_paypal", title="Purchase by PayPal", run=lambda: _purchase("paypal"), most=PURCHASE),
    Unit(
        name="abandoned_stripe",
        title="Checkout at Stripe that nobody pays",
        run=lambda: _abandoned("stripe"),
        most=ABANDONED_MOST,
    ),
    Unit(
        name="abandoned_paypal",
        title="Checkout at PayPal that nobody pays",
        run=lambda: _abandoned("paypal"),
        most=ABANDONED_MOST,
    ),
    Unit(
        name="idle_minute",
        title="Minute in which nothing happens",
        run=_idle,
        most={"reads": 15, "writes": 3, "trips": 10},
    ),
    Unit(
        name="idle_minute_crypto",
        title="Minute in which nothing happens, with a crypto network",
        run=lambda: _idle(CRYPTO),
        most={"reads": 18, "writes": 4},
    ),
    Unit(
        name="crypto_network",
        title="The same minute, for one crypto network more",
        run=_crypto,
        most={"reads": 3, "writes": 1},
    ),
    Unit(name="balance", title="GET balance", run=lambda: _read("/credits/balance")),
    Unit(name="history", title="GET history, first page", run=lambda: _read("/credits/history"), most={"reads": 22}),
    Unit(
        name="proof",
        title="GET proof of an entry, 2^27 entries in the log",
        run=_proof,
        most={"reads": PROOF_READS_MAX},
    ),
    Unit(name="analytics", title="GET analytics of 30 days", run=lambda: _read("/credits/analytics")),
    Unit(name="reservation", title="Reservation and its capture", run=_reserve),
    Unit(name="sign_up", title="Sign-up with the welcome bonus", run=_sign_up),
)
"""Units in the order of the table. `most` is the maximum that decision 0081 allows."""

"""What we store is decided about: who may read it, which queries it serves, which of its fields are indexed.

One life of a user runs over the memory adapters with every query and write looked at. What the life does not touch
cannot be held to anything, so a query of ours that it never makes is a failure too.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

import pytest

from emulator.stand_ins.paypal.certificates import authority
from functions.dead_events import DeadEvents
from functions.edge import MalformedEvent, deliver
from shared.ai.agents.documents import TAIL_BYTES_MAX
from shared.ai.agents.thinking import Thought
from shared.ai.chat.conversations import DELETE_BATCH
from shared.ai.openai.completions import ChatCompletions
from shared.ai.openai.responses import Responses
from shared.ai.tokens import Usage
from shared.bootstrap import MEMORY_ENVIRONMENT, in_memory
from shared.bootstrap.migrations import MIGRATIONS
from shared.bootstrap.schemas import SCHEMAS
from shared.kernel.alert_book import AlertBook
from shared.kernel.clock import MINUTE
from shared.kernel.deadline import NEVER
from shared.kernel.documents import Query
from shared.kernel.ids import HoldId, LotId, OperationId, operation_id
from shared.kernel.money import Micro
from shared.kernel.schemas import SCHEMA_VERSION, kind_of
from shared.kernel.watching import Listener
from shared.ledger.commands import Capture, Charge, Freeze, Grant, PlaceHold, Release, Reverse, Unfreeze
from shared.ledger.history import EntryFilter
from shared.ledger.log.tiles import TILE_WIDTH
from shared.ledger.log.typed_leaves import queue_leaf
from shared.ledger.log_export import LogExport
from shared.ledger.rest import LOTS_MAX
from shared.payments.ports import Notice
from shared.payments.store import PaymentFilter
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.thinking import ScriptedThinkingModel
from shared.platform.paypal.certificates import Certificates, source_of
from shared.sagas.agents.tasks import TaskRequest
from shared.sagas.chat.answer import TurnRequest
from shared.sagas.engine.jobs import JobRun
from shared.sagas.engine.migrations import Migrations
from shared.sagas.images.start import ImageAsked
from shared.sagas.metering.stop_requests import EVERYBODY, CallName
from shared.sagas.openai.call import Keeping, OpenAIRequest
from shared.sagas.payments.checkout import PackageOrder
from shared.sagas.payments.crypto_desk import DepositFilter
from shared.sagas.payments.refunds import RefundAsked
from shared.users.api_keys import KeyWanted
from shared.users.audit import AuditFilter
from shared.users.user_queries import UserFilter
from tests.rules.table import COLLECTIONS, SERVER_ONLY
from tests.support.indexes import IndexCheckedDocuments, Indexes, unused
from tests.support.live import collection_of
from tests.support.rotations import NEW, Fleet
from tests.support.wallets import WALLET, WalletShop, signed

ROOT = Path(__file__).resolve().parents[2]
DAY = 24 * 3600 * 1000
REFUND_WALLET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
HOT = {
    "agent_jobs/*/steps",
    "agent_tasks/*/steps",
    "accounts",
    "accounts/*/entries",
    "accounts/*/operations",
    "accounts/*/lots",
    "accounts/*/holds",
    "accounts/*/log",
    "accounts/*/notes",
    "accounts/*/outbox",
    "accounts/*/relay",
    "accounts/*/usage",
    "conversation_states",
    "conversations",
    "conversations/*/messages",
    "image_jobs",
    "image_tasks",
    "images",
    "turns",
}
"""Written with every spending call: each index of theirs costs at every write, so each is there for a query."""
QUERY_BUILDERS = {"Query", "owner_query", "user_query"}
"""What makes a query."""
ONLY_OLD = {"agent_tasks/*/files", "image_asks"}
"""Kinds that earlier releases wrote, and that ours still reads."""
OLD_FIELDS = {("entries", "hash"), ("entries", "schema"), ("messages", "content"), ("messages", "price")}
"""Fields of documents that earlier releases wrote: without an exemption, a deployment would index them all."""
BY_CLIENTS = {("conversations", "uid"), ("image_tasks", "uid")}
"""What the rules make a client filter by."""


@dataclass(slots=True)
class Watched(IndexCheckedDocuments):
    """Also remembers which functions of ours asked."""

    askers: set[tuple[str, str]] = field(default_factory=set)

    def query(self, query: Query):
        self._note_askers()
        return IndexCheckedDocuments.query(self, query)

    def watch(self, query: Query, listener: Listener):
        self._note_askers()
        return IndexCheckedDocuments.watch(self, query, listener)

    def _note_askers(self):
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            self.askers.add((frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back


@pytest.fixture(scope="module")
def stored():
    """The store after a user's life, with all that was asked of it."""
    documents = Watched(MemoryDocuments(), collections=COLLECTIONS, is_numbered=True)
    clock = ManualClock()
    long_answer = Thought(text="x" * TAIL_BYTES_MAX, usage=Usage(input_tokens=10, output_tokens=2))
    thinker = ScriptedThinkingModel([long_answer])
    env = {"WELCOME_BONUS_REQUIRES": "any", "LEDGER_ID": "test"}
    services = in_memory(env, documents=documents, clock=clock, thinking_model=thinker)
    _live(services)
    _send_coins(WalletShop(documents, clock))
    _rotate(Fleet(documents=documents, clock=clock, env={"LEDGER_ID": "test"}))
    return documents


def test_every_collection_we_write_has_a_row_in_the_table(stored):
    assert set(stored.fields) - COLLECTIONS == set()


def test_the_server_keeps_nothing_in_the_table_that_is_never_written(stored):
    assert {collection_of(row.path) for row in SERVER_ONLY} <= set(stored.fields)


def test_every_kind_that_we_write_has_a_schema():
    assert set(SCHEMAS) - ONLY_OLD == COLLECTIONS


def test_every_document_says_the_schema_version_of_its_kind(stored):
    names = {name.rpartition("/")[2] for name in COLLECTIONS}
    found = [each for name in names for each in stored.inner.query(Query(collection=name, group=True, limit=10_000))]

    told = {(kind_of(each.path), each.data.get(SCHEMA_VERSION)) for each in found}

    assert told <= {(kind, schema.version) for kind, schema in SCHEMAS.items()}
    assert len(told) > 20


def test_every_query_we_can_make_was_made(stored):
    assert set(_query_makers()) - stored.askers == set()


def test_no_index_is_without_a_query(stored):
    assert unused(stored.indexes.composites, stored.shapes) == []


def test_no_field_of_a_hot_collection_is_indexed_for_nothing(stored):
    needed = {each for shape in stored.shapes for each in _needs_automatic(shape, stored.indexes)} | BY_CLIENTS
    last = {name.rpartition("/")[2]: stored.fields[name] for name in HOT}

    indexed = {(name, field) for name, fields in last.items() for field in fields if stored.indexes.single(name, field)}

    assert indexed - needed == set()


def test_no_exemption_names_a_field_that_is_never_written(stored):
    written = {(name.rpartition("/")[2], field) for name, fields in stored.fields.items() for field in fields}

    assert set(Indexes.load().overrides) - written == OLD_FIELDS


def _needs_automatic(shape, indexes):
    """The fields of a shape that the composite indexes alone do not serve."""
    names = {name for name, _ in (*shape.filtered, *shape.sort)}
    exempt: dict = {(shape.collection, name): frozenset() for name in names}
    return set() if Indexes(composites=indexes.composites, overrides=exempt).serves(shape) else set(exempt)


def _query_makers() -> Iterator[tuple[str, str]]:
    """Every function of ours that makes a `Query` and asks, as (file, qualified name); a builder only makes one."""
    files = [*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    for file in files:
        if "platform" not in file.parts:
            yield from _makers_in(ast.parse(file.read_text(encoding="utf-8")), str(file), "")


def _makers_in(node: ast.AST, file: str, scope: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            if child.name not in QUERY_BUILDERS and any(_is_query(each) for each in ast.walk(child)):
                yield file, f"{scope}{child.name}"
        elif isinstance(child, ast.ClassDef):
            yield from _makers_in(child, file, f"{scope}{child.name}.")


def _is_query(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in QUERY_BUILDERS


# ── one life ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _live(services):
    root = services.ports.identity().verify(
        services.ports.identity().token(services.ports.identity().sign_up("root@example.com"))
    )
    services.users.first_sight.see(root)
    services.operators.first_admin("root@example.com", is_forced=True)
    admin = services.ports.identity().verify(services.ports.identity().token(root.uid))
    services.operators.put_model(admin, "m1", _model())
    _list_users(services)

    user = services.ports.identity().verify(
        services.ports.identity().token(services.ports.identity().sign_up("ann@shop.example"))
    )
    services.users.first_sight.see(user)
    services.users.greeting.greet(user.uid)
    services.users.welcome_bonus.claim(user, operation_id("life", "bonus"), "f")
    _spend(services, user.uid)
    _talk(services, user.uid)
    _paint(services, user.uid)
    _buy(services, admin, user.uid)
    _work(services, user.uid)
    _operate(services, admin, user.uid)
    _bury(services)
    _hear(services)
    _log_leaves(services)
    _redact(services, admin, user.uid)
    _archive(services, admin, user.uid)
    _count(services)
    _migrate(services)
    _know_a_certificate(services)
    _leave(services, user.uid)


def _list_users(services):
    for named in ({}, {"actor": "a"}, {"actor": "a", "act": "look", "target": "b", "first": 0, "last": 1}):
        services.operators.audit(None, 1, AuditFilter(**named))
    for wanted in (
        UserFilter(),
        UserFilter(email="a"),
        UserFilter(role="admin"),
        UserFilter(status="closed"),
        UserFilter(status="frozen"),
        UserFilter(is_in_debt=True),
    ):
        services.user_list.page(wanted, cursor=None, limit=1)


def _rotate(fleet):
    both = fleet.deploy(NEW, MEMORY_ENVIRONMENT["LEDGER_SIGNING_KEY"])
    fleet.minute(both)
    fleet.retire(both, "memory-1")
    both.credits.key_rotation.check(JobRun("", fleet.clock, 60))


def _send_coins(shop):
    shop.services().crypto.availability.current()
    payment = shop.order()
    broadcasts = shop.services().crypto.broadcasts
    unsigned = broadcasts.prepare(payment.id, payment.uid, WALLET.address).transaction
    broadcasts.broadcast(payment.id, payment.uid, signed(unsigned))
    shop.send(payment, payment.quote.due * 2)
    shop.chains["base"].mine()
    shop.follow(payment)
    shop.every_minute()
    shop.services().jobs.run_schedule("every_minute")
    shop.services().crypto.look(shop.now(payment))
    shop.services().crypto.agent_wallets.wallet(shop.uid)
    _send_coins_back(shop, shop.order("bitcoin", "BTC"))
    shop.services().crypto.desk.page(DepositFilter(), limit=1, after=None)
    shop.services().crypto.desk.page(DepositFilter(uid=shop.uid), limit=1, after=None)
    list(shop.services().crypto.balances.of_network("base"))
    for cursor in (None, "refunds:"):
        shop.services().crypto.providers["bitcoin"].listed_money(0, 1, cursor)


def _send_coins_back(shop, payment):
    shop.send(payment, payment.quote.due)
    shop.deep(payment)
    crypto = shop.services().crypto
    crypto.refund_addresses.put(payment.id, shop.uid, REFUND_WALLET, shop.clock.now())
    asked = RefundAsked(payment=payment.id, minor=None, operation=operation_id("life", "coins"), fingerprint="f")
    shop.services().payments.refunds.refund(asked)
    (payout,) = crypto.payouts.of_payment(payment.id)
    crypto.payouts.sent(payment.id, payout.id, shop.chains["bitcoin"].send(REFUND_WALLET, "BTC", payout.terms.amount))
    crypto.payouts.resume(JobRun("", shop.clock, 60.0))


def _know_a_certificate(services):
    issued = authority().issue()
    certificates = Certificates(lambda url: issued.chain.encode(), "", services.clock, services.ports.documents())
    source = source_of(f"https://api.paypal.com{issued.path}", "https://api-m.paypal.com")
    certificates.remember(source, certificates.chain(source))


def _spend(services, uid):
    def asked(name):
        return {"operation": OperationId(f"op_{name}"), "fingerprint": name}

    def execute(command):
        return services.credits.ledger.execute(uid, command)

    hold = {"purpose": "chat", "lifetime": 60_000, "principal": uid}
    execute(Grant(**asked("grant"), amount=Micro(10**9), lot=LotId("lot_1"), source="promo:x", note="a gift"))
    execute(PlaceHold(**asked("hold1"), amount=Micro(10**6), hold=HoldId("h1"), **hold))
    execute(Capture(**asked("capture"), hold=HoldId("h1"), amount=Micro(1_000)))
    execute(PlaceHold(**asked("hold2"), amount=Micro(10**6), hold=HoldId("h2"), **hold))
    execute(Release(**asked("release"), hold=HoldId("h2")))
    execute(Charge(**asked("charge"), amount=Micro(1_000), purpose="chat"))
    execute(Reverse(**asked("reverse"), lot=LotId("lot_1"), target=Micro(10**9)))
    execute(Freeze(**asked("freeze")))
    execute(Unfreeze(**asked("unfreeze")))
    services.credits.ledger.history(uid, before=None, limit=20, kinds=None)
    for wanted in (EntryFilter(ref="call:ans_1"), EntryFilter(key="key_1"), EntryFilter(ref="ans_1", key="key_1")):
        services.credits.ledger.history(uid, before=None, limit=20, wanted=wanted)
    services.credits.analytics.report(uid, "2000-01-01", "2099-12-31")
    assert {services.credits.analytics.rebuild(each) > 0 for each in services.credits.analytics.accounts()} == {
        False,
        True,
    }
    assert services.credits.ledger.verify(uid) == []


def _talk(services, uid):
    services.models.catalogue.enabled()
    services.models.preferences.put(uid, {"chat_model": "m1"})
    talks = [
        services.chat.conversations.create(uid, operation=operation_id("life", name), fingerprint=name, model="m1").id
        for name in ("kept", "deleted")
    ]
    for number, has_key in enumerate((True, False)):
        request = TurnRequest(
            uid=uid,
            conversation_id=talks[0],
            content="tea " * 5_000,
            operation=operation_id("life", "turn", str(number)),
            fingerprint="f",
            has_key=has_key,
        )
        list(services.chat.turn.run(request))
    asked = OpenAIRequest(
        uid=uid,
        operation=operation_id("life", "call"),
        fingerprint="f",
        has_key=True,
        dialect=ChatCompletions(),
        model="m1",
        body={"messages": [{"role": "user", "content": "hello"}]},
    )
    list(services.openai.call.run(asked))
    responding = replace(
        asked,
        operation=OperationId("op_response"),
        dialect=Responses(is_kept=True),
        body={"input": "hello"},
        keeping=Keeping(input=[]),
    )
    list(services.openai.call.run(responding))
    key, _ = services.users.api_keys.create(
        uid, KeyWanted(name="k", scopes=frozenset()), operation_id("life", "key"), "f"
    )
    services.users.api_keys.create(uid, KeyWanted(name="l", scopes=frozenset()), operation_id("life", "key", "2"), "f")
    services.key_revocation.revoke(uid, key.id)
    services.chat.turn.memory.title(uid, talks[0], operation=operation_id("life", "title"))
    assert [message.role for message in services.chat.conversations.export(uid, talks[0])] == [
        "user",
        "assistant",
        "system",
        "user",
        "assistant",
    ]
    stop = services.metering.stop_requests.new(uid, CallName.of_conversation(talks[0]), EVERYBODY)
    services.metering.stop_requests.store(stop, since=stop.at)
    services.chat.conversations.list(uid)
    newest = services.chat.conversations.messages(uid, talks[0]).items[0]
    late = replace(newest, id="msg_late", position=f"{newest.position}:late")
    talk = services.chat.conversations.get(uid, talks[0])
    services.ports.documents().commit(services.chat.conversations.writes_to_append(talk, [late]))
    services.chat.conversations.messages(uid, talks[0], cursor=late.position)
    services.chat.conversations.patch(uid, talks[0], {"title": "t"})
    large = services.chat.conversations.get(uid, talks[1])
    for number in range(DELETE_BATCH):
        each = replace(late, id=f"msg_{number}", conversation_id=large.id)
        services.ports.documents().commit(services.chat.conversations.writes_to_append(large, [each]))
    services.chat.conversations.delete(uid, large.id)


def _paint(services, uid):
    services.models.catalogue.put("painter", {"kind": "image", "image_usd": "0.01"})
    asked = ImageAsked(
        uid=uid, prompt="a fox", n=2, model="painter", operation=operation_id("life", "i"), fingerprint=""
    )
    task = services.images.start.start(asked).task
    services.images.job.run(task.id)
    for image in services.images.store.list(uid).items[:1]:
        services.images.store.delete(uid, image.id)


def _buy(services, admin, uid):
    package = {"title": "T", "price_minor": 100, "currency": "USD", "credits": 10, "bonus": 5, "per_user_limit": 2}
    services.payments.operators.put_package(admin, "small", package, None)
    services.payments.packages.on_offer()
    services.crypto.indices.take("evm")
    provider = services.ports.payment_providers()["stripe"]
    for key, then in (("1", "paid"), ("2", "failed")):
        wanted = PackageOrder(
            uid=uid, package="small", provider="stripe", flow="redirect", success_url="u", cancel_url="u"
        )
        payment = services.payments.checkouts.begin_checkout(wanted, operation_id("life", "pay", key), "f").id
        provider.approve(payment, then)
        services.payments.inbox.store(provider.events[-1])
        services.payments.notices.handle(f"stripe:{provider.events[-1].id}")
        if then == "paid":
            services.payments.operators.refund(admin, payment, "0.40", "sorry", operation_id("life", "refund"))
            provider.moved.pop()  # so that the close of the day finds a difference
    services.payments.store.history(uid, limit=20, after=None)
    everything = PaymentFilter(uid=uid, provider="stripe", status="settled", is_under_review=False, first=0, last=1)
    services.payments.store.listed(PaymentFilter(), limit=20, after=None)
    services.payments.store.listed(everything, limit=20, after=None)
    services.payments.store.with_provider_id("pi_1", everything)
    services.payments.store.since(0, limit=20, after=None)


def _work(services, uid):
    request = TaskRequest(
        uid=uid,
        goal="g",
        budget=Micro(10**8),
        operation=operation_id("life", "task"),
        fingerprint="f",
        model="m1",
        files=(("a.txt", "x"),),
    )
    task = services.agents.tasks.begin_task(request)
    services.agents.slice.run(task.id)
    assert services.agents.tasks.get(uid, task.id).status == "completed"
    services.agents.tasks.steps(uid, task.id, after=0, limit=10)
    services.agents.tasks.page(uid, cursor=None, limit=10)


def _operate(services, admin, uid):
    services.operators.adjust(admin, uid, 5, "because", operation_id("life", "adjust"))
    services.operators.freeze(admin, uid, "odd")
    services.operators.unfreeze(admin, uid, "not odd")
    services.operators.set_roles(admin, uid, frozenset({"support"}))
    services.operators.audit(None, 20)
    services.lookup.find(admin, "abcd")
    services.credits.losses.bear(
        uid, operation=operation_id("life", "loss"), cause="provider_failed", amount=1, model="m1"
    )


def _hear(services):
    """A provider tells us something; a sweep looks for it."""
    refs = {"intent": "pi_1"}
    notice = Notice(provider="stripe", id="evt_1", type="t", at=1, is_live=False, payment="pay_1", refs=refs)
    services.payments.inbox.store(notice)
    services.payments.inbox.due(1)
    services.payments.inbox.about("pay_1", 1)


def _log_leaves(services):
    """The log gets a full tile."""
    now = services.clock.now()
    leaves = [queue_leaf("day", f"day-{number}", {"day": number}, now) for number in range(TILE_WIDTH)]
    services.ports.documents().commit(leaves)
    services.clock.advance(DAY)
    services.jobs.run_schedule("every_minute")


def _redact(services, admin, uid):
    """The body of an entry is deleted."""
    progress = []
    for _ in range(2):
        services.clock.advance(MINUTE)
        services.jobs.run_schedule("every_minute")
        progress.append(services.operators.redact(admin, uid, 2, "a name in a key", NEVER))
    assert progress == ["waiting", "redacted"]


def _archive(services, admin, uid):
    """The journal moves to the bucket, and comes back."""
    progress = []
    for _ in range(2):
        services.clock.advance(MINUTE)
        services.jobs.run_schedule("every_minute")
        progress.append(services.journal_moves.archive(admin, uid, "quiet", NEVER).progress)
    assert progress == ["waiting", "archived"]
    assert services.journal_moves.bring_back(admin, uid, "needed", NEVER)


def _count(services):
    """An operator has the figures counted again."""
    services.credits.figure_count.begin_again()
    assert services.models.catalogue.versions("m") == []
    services.jobs.run_schedule("every_day")


def _migrate(services):
    runner = Migrations(services.ports.documents(), services.clock, lambda line: None)
    for entry in MIGRATIONS:
        assert runner.run(entry.build(services)).is_complete


def _bury(services):
    class Garbage(dict):
        data = b"?"

    def decode(event):
        raise MalformedEvent("it is garbage")

    deliver(Garbage(id="1", source="s"), decode, lambda *_: None, services)
    assert len(DeadEvents(services).waiting()) == 1


def _leave(services, uid):
    _owe(services, uid)
    services.jobs.run_schedule("every_minute")
    services.jobs.run_schedule("every_day")
    assert services.credits.days.path(uid) is not None
    assert [*LogExport(services.ports.documents(), services.credits.keys, "test").lines(10)]
    services.credits.watch.found(uid, 1, "hash")
    _alert(services)
    services.leaving.leave(uid)
    services.clock.advance(2 * DAY)
    services.jobs.run_schedule("every_minute")


def _alert(services):
    book = AlertBook(services.ports.documents, services.clock, lambda _, write: write())
    book.note("log_behind", {"lag_ms": 1})
    book.resolve("log_behind", {})
    services.stored_gauges.meters()
    services.alert_desk.page(None, limit=1, after=None)
    services.alert_desk.page("open", limit=1, after=(1, "log_behind:-"))


def _owe(services, uid):
    def asked(name):
        return {"operation": OperationId(f"op_owed_{name}"), "fingerprint": ""}

    lot, amount = LotId("lot_owed"), Micro(10**6)
    services.credits.ledger.execute(uid, Grant(**asked("grant"), amount=amount, lot=lot, source="promo:x"))
    for number in range(LOTS_MAX):
        more = Grant(**asked(f"more{number}"), amount=amount, lot=LotId(f"lot_more{number}"), source="promo:x")
        services.credits.ledger.execute(uid, more)
    spent = services.credits.ledger.balance(uid).available
    services.credits.ledger.execute(uid, Charge(**asked("charge"), amount=Micro(spent), purpose="chat"))
    services.credits.ledger.execute(uid, Reverse(**asked("reverse"), lot=lot, target=amount))
    assert services.credits.ledger.balance(uid).debt > 0


def _model():
    return {
        "kind": "chat",
        "display_name": "M",
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "2",
        "context_window": 8192,
        "max_output_tokens": 1024,
        "is_enabled": True,
        "capabilities": ["tools"],
    }

"""Each procedure of docs/operating, walked as written. A page that is not true fails here."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from functions.dead_events import DeadEvents
from functions.edge import EVENT_AGE_MAX, DocumentEvent, MalformedEvent, deliver
from shared.ai.ports import UpstreamUnavailable
from shared.kernel.clock import MINUTE, rfc3339
from shared.kernel.documents import Delete, Patch, Put
from shared.kernel.errors import Unavailable
from shared.kernel.ids import OperationId, Uid, new_id
from shared.kernel.schemas import SCHEMA_VERSION
from shared.ledger.log.merkle import consistency_proof, is_consistent
from shared.ledger.log.signed_heads import read_signed_head
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.log.typed_leaves import read_leaf
from shared.ledger.store import entry_path
from shared.payments.fiat import Fiat
from shared.payments.ports import Notice
from shared.platform.memory.chain import MemoryChain
from shared.platform.memory.passthrough import completion
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.payments.checkout import PackageOrder
from tests.api.test_crypto_payments import chains_of
from tests.api.world import MODEL, Person, World, problem
from tests.operating.walking import Terminal, walk
from tests.support.keys import EVM, OWN_XPUB, VPUB
from tests.support.ledgers import grant
from tests.support.pages import code_of
from tests.support.shop import ENVIRONMENT, PACKAGE

CREATED = "google.cloud.firestore.document.v1.created"
TEST_COINS = {"CRYPTO_NETWORKS": "base-sepolia,bitcoin-signet", "EVM_XPUB": OWN_XPUB, "BITCOIN_KEY": VPUB}
PAYERS_WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
PHRASE = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
MESSAGES = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def world() -> World:
    return World(env=ENVIRONMENT)


@pytest.fixture
def admin(world: World) -> Person:
    return world.person("admin", credits_=10)


@pytest.fixture
def ann(world: World) -> Person:
    ann = world.person(email="ann@example.com", credits_=10)
    ann.get("/me")
    return ann


@pytest.fixture
def terminal(world: World, admin: Person, tmp_path, monkeypatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(world, tmp_path, {"TOKEN": admin.token, "PROJECT": "p"})


def ask(person: Person) -> Any:
    return person.post("/chat/conversations", {"message": "Hello"})


def bought(world: World, buyer: Person, *, received: Fiat | None = None) -> str:
    """A payment for a package, paid at the provider; its notice was lost. `received` is other money than agreed."""
    if not list(world.services.payments.packages.everything()):
        world.services.payments.packages.put("small", PACKAGE)
    urls = {"success_url": "https://app.example/", "cancel_url": "https://app.example/"}
    wanted = PackageOrder(uid=buyer.uid, package="small", provider="stripe", flow="redirect", **urls)
    payment = world.services.payments.checkouts.begin_checkout(wanted, OperationId(new_id("op")), "f").id
    stripe(world).approve(payment, received=received)
    return payment


def notice(world: World, payment: str) -> str:
    """A stored notice of the payment's provider."""
    told = Notice(
        provider="stripe",
        id="evt_1",
        type="checkout.session.completed",
        at=world.clock.now(),
        is_live=False,
        account=None,
        payment=payment,
        refs={},
    )
    world.services.payments.inbox.store(told)
    return "stripe:evt_1"


def dead_event(world: World, person: Person) -> str:
    """The greeting of a new user failed for too long."""

    class Event(dict):
        data = b""

    def on_user_created(event: DocumentEvent, services: Any) -> None:
        raise Unavailable("down")

    said = {"id": "e1", "source": "s", "type": CREATED, "subject": f"documents/users/{person.uid}"}
    event = Event(said | {"time": rfc3339(world.clock.now())})
    world.clock.advance(EVENT_AGE_MAX + 1)
    deliver(
        event, lambda _: DocumentEvent(path="", params={}, before=None, after={}, at=0), on_user_created, world.services
    )
    (dead,) = DeadEvents(world.services).waiting()
    return dead.id


def malformed_event(world: World) -> str:
    """A message that no function understands."""

    def decode(event: object) -> None:
        raise MalformedEvent("it has no task_id")

    class Event(dict):
        data = b""

    deliver(Event(id="e2", source="s", subject="odd"), decode, lambda *_: None, world.services)
    return next(dead.id for dead in DeadEvents(world.services).waiting() if dead.code == "malformed")


def stripe(world: World) -> MemoryProvider:
    provider = world.services.ports.payment_providers()["stripe"]
    assert isinstance(provider, MemoryProvider)
    return provider


def test_drain_is_true_as_written(world: World, admin: Person, terminal: Terminal):
    walk("drain", terminal, after={3: lambda: world.clock.advance(10 * MINUTE)})

    acts = [record.act for record in world.services.operators.audit(None, 9).items]
    assert sorted(acts) == ["drain", "undrain"]


def test_dead_letters_is_true_as_written(world: World, ann: Person, terminal: Terminal):
    event, malformed = dead_event(world, ann), malformed_event(world)
    payment = bought(world, ann)
    terminal.variables |= {"EVENT": event, "PAYMENT": payment, "NOTICE": notice(world, payment), "MALFORMED": malformed}

    walk("dead-letters", terminal)

    assert DeadEvents(world.services).waiting() == []

    profile = world.services.users.profiles.get(ann.uid)
    assert profile is not None
    assert profile.greeted_at is not None


def test_tamper_alarm_is_true_as_written(world: World, ann: Person, terminal: Terminal):
    ask(ann)
    documents = world.services.ports.documents()
    entry = documents.get(entry_path(ann.uid, 1))
    assert entry is not None
    documents.commit([Patch(entry.path, {"body": "{}"})])
    terminal.variables["VICTIM"] = ann.uid

    walk(
        "tamper-alarm",
        terminal,
        after={5: lambda: documents.commit([Patch(entry.path, {"body": entry.data["body"]})])},
        failing={2},
    )


def test_restore_is_true_as_written(world: World, ann: Person, terminal: Terminal):
    late = world.person(credits_=5)
    for _ in range(3):
        run_minute(world)
    backup = backed_up(world)
    ask(ann)
    ask(late)
    exported = late.get("/credits/export").get_data(as_text=True)
    for _ in range(3):
        run_minute(world)
    receipt = signed_head(world)
    terminal.variables["CUSTOMER"] = late.uid

    def restore():
        restore_documents(world, backup)
        ask(ann)
        for _ in range(12):
            run_minute(world)
        found = alerts_of(world)
        assert (found["log_broken"], found["log_inconsistent"]) == ({"behind"}, {"behind"})

    def wait():
        ask(ann)
        for _ in range(3):
            run_minute(world)

    walk("restore", terminal, before={3: restore, 6: wait})

    grown = signed_head(world)
    steps = consistency_proof(receipt.head.size, grown.head.size, tiles_of(world, grown).hash_at)
    assert is_consistent(receipt.head.size, receipt.head.root, grown.head.size, grown.head.root, steps)
    leaf = read_leaf(world.services.ports.documents(), f"restore-{receipt.head.size}")
    assert leaf is not None
    assert leaf.index == receipt.head.size or leaf.index > receipt.head.size
    assert {name: leaf.body[name] for name in ("by", "size", "root")} == {
        "by": "ops@example.com",
        "size": receipt.head.size,
        "root": receipt.head.root.hex(),
    }
    (terminal.folder / "export.ndjson").write_text(exported)
    assert "BROKEN" not in terminal.run("make verify FILE=export.ndjson")


def run_minute(world: World) -> None:
    world.clock.advance(MINUTE)
    world.services.jobs.run_schedule("every_minute")


def memory_of(world: World) -> Any:
    """The documents in memory, below what the world lays around them."""
    found: Any = world.services.ports.documents()
    while hasattr(found, "inner"):
        found = found.inner
    return found


def backed_up(world: World) -> dict[str, Any]:
    return {path: each.data for path, each in memory_of(world)._documents.items()}


def restore_documents(world: World, backup: dict[str, Any]) -> None:
    memory = memory_of(world)
    gone = [Delete(path) for path in list(memory._documents) if path not in backup]
    for write in (*gone, *(Put(path, data) for path, data in backup.items())):
        memory.commit([write])


def signed_head(world: World) -> Any:
    return read_signed_head(world.services.ports.documents())


def tiles_of(world: World, signed: Any) -> TileReader:
    return TileReader(world.services.ports.documents(), signed.head)


def alerts_of(world: World) -> dict[str, set[object]]:
    alerts: Any = world.services.ports.alerts()
    found: dict[str, set[object]] = {}
    for each in alerts.raised:
        found.setdefault(each.event, set()).add(each.fields.get("rule"))
    return found


def test_provider_outage_is_true_as_written(world: World, ann: Person, terminal: Terminal):
    world.passthrough.scripts["/chat/completions"] = [[UpstreamUnavailable()]]
    terminal.variables["PAYMENT"] = bought(world, ann)

    def heal():
        world.clock.advance(MINUTE)
        world.passthrough.scripts["/chat/completions"] = [completion("Hello", usage=(12, 4))]

    def is_refused():
        answer = ann.post("/openai/chat/completions", {"model": "gpt-4o-mini", "messages": MESSAGES})
        assert answer.status_code == 404

    walk("provider-outage", terminal, after={3: is_refused}, before={4: heal})


def test_price_change_is_true_as_written(world: World, admin: Person, terminal: Terminal):
    world.services.payments.packages.put("small", PACKAGE)
    terminal.variables["ETAG"] = '"' + admin.get("/admin/models/gpt-4o-mini").json["etag"] + '"'

    walk("price-change", terminal)

    assert admin.get("/admin/models/gpt-4o-mini").json["output_usd_per_mtok"] == "0.8"


def test_angry_customer_is_true_as_written(world: World, ann: Person, terminal: Terminal):
    message = ask(ann).json["message"]["id"]
    ann.post("/credits/reserve", {"amount": "1.5"})
    terminal.variables |= {"CUSTOMER": ann.uid, "REF": message}
    before = ann.get("/credits/balance").json["total"]

    walk("angry-customer", terminal)

    assert float(ann.get("/credits/balance").json["total"]) == pytest.approx(float(before) + 2.5)
    acts = [record.act for record in world.services.operators.audit(None, 9).items]
    assert sorted(acts) == ["adjust", "explain_account", "export_journal", "look"]


def test_payments_is_true_as_written(world: World, ann: Person, terminal: Terminal):
    payment = bought(world, ann)
    parked = bought(world, world.person(), received=Fiat(999, "USD"))
    world.services.payments.settlement.settle(parked)
    terminal.variables |= {"PAYMENT": payment, "PARKED": parked, "NOTICE": notice(world, payment)}

    walk("payments", terminal, before={2: lambda: stripe(world).refund_by_hand(parked)})

    assert ann.get(f"/payments/status/{payment}").json["status"] == "refunded"


def test_losses_is_true_as_written(world: World, ann: Person, terminal: Terminal):
    terminal.variables["PAYER"] = ann.uid

    walk("losses", terminal)

    assert problem(ann.post("/credits/reserve", {"amount": "1"})) == (403, "account_frozen")


def test_migrations_is_true_as_written(world: World, ann: Person, terminal: Terminal):
    ask(ann)
    memory: Any = world.services.ports.documents()
    memory = memory.inner.inner.inner
    for path, each in list(memory._documents.items()):
        memory.commit([Put(path, {name: value for name, value in each.data.items() if name != SCHEMA_VERSION})])

    walk("migrations", terminal)

    assert world.services.credits.ledger.verify(ann.uid) == []


@pytest.mark.parametrize("uid", ["-Odd", "--all", "auth0|a b", "Ünï"])
def test_an_account_is_explained_whatever_its_uid_looks_like(world: World, terminal: Terminal, uid: str):
    world.identity.sign_up("odd@example.com", uid=uid)
    world.services.credits.ledger.execute(Uid(uid), grant("g", 5))
    terminal.variables["ME"] = uid

    assert f"Account {uid}: " in terminal.run('make explain WHO="$ME"')
    assert terminal.codes == [0]


def test_first_hour_is_true_as_written(world: World, admin: Person, terminal: Terminal):
    world.identity.set_roles(admin.uid, frozenset())
    sold = {**PACKAGE, "credits": 900_000_000, "bonus": 0, "bonus_days": None}
    world.services.payments.packages.put("small", sold)
    you = world.person("admin", email="you@example.com", credits_=10)
    world.identity.set_roles(you.uid, frozenset())
    payment, second = bought(world, you), world.person()
    for person in (you, second):
        person.get("/me")
    world.services.payments.settlement.settle(payment)
    terminal.variables |= {"TOKEN": you.token, "PAYMENT": payment, "SECOND": second.uid}

    def signed_in_again():
        terminal.variables["TOKEN"] = world.identity.token(you.uid)

    walk("first-hour", terminal, after={1: signed_in_again})


def test_incident_is_true_as_written(world: World, admin: Person, terminal: Terminal):
    changed = {name: value for name, value in MODEL.items() if name != "id"}
    assert admin.call("PUT", "/admin/models/gpt-4o-mini", body=changed).status_code == 200

    walk("incident", terminal)


@dataclass
class FirstCoins:
    """The chain and the people of a first purchase with coins."""

    world: World
    admin: Person
    buyer: Person
    terminal: Terminal

    @property
    def chain(self) -> MemoryChain:
        return chains_of(self.world)["base-sepolia"]

    @property
    def payment(self) -> Any:
        return self.admin.get(f"/admin/payments/{self.terminal.variables['PAYMENT']}").json

    def pay(self):
        (payment,) = self.buyer.get("/payments/history").json["items"]
        self.terminal.variables["PAYMENT"] = payment["id"]
        self._send(self.payment["crypto"])

    def send_back(self):
        (payout,) = self.payment["payouts"]
        self.terminal.variables |= {"REFUND": payout["id"], "TX": self._send(payout)}

    def sweep_and_come(self):
        self.terminal.variables["DEPOSIT"] = "evm:0"
        self.chain.sweep(self.payment["crypto"]["address"])
        for then in (lambda: self.chain.mine(20), lambda: self._send(self.payment["crypto"])):
            then()
            self.world.clock.advance(MINUTE)
            self.world.services.crypto.follower.follow_payment(self.terminal.variables["PAYMENT"])

    def _send(self, told: Any) -> str:
        sent = self.chain.send(told["address"], told["asset"], int(told["amount_atomic"]))
        self.chain.mine(20)
        return sent


def test_crypto_is_true_as_written(tmp_path):
    world = World(env={**ENVIRONMENT, **TEST_COINS})
    admin, buyer = world.person("admin"), world.person()
    for chain in chains_of(world).values():
        chain.mine(12)
    world.services.payments.packages.put("taster", PACKAGE)
    tokens = {"TOKEN": admin.token, "BUYER": buyer.token}
    terminal = Terminal(world, tmp_path, {**tokens, "WALLET": PAYERS_WALLET, "PROJECT": "p"})
    coins = FirstCoins(world, admin, buyer, terminal)

    walk("crypto", terminal, before={5: coins.pay, 8: coins.send_back, 11: coins.sweep_and_come})

    assert (buyer.available, buyer.get("/credits/balance").json["debt"]) == ("1000", "0")


def test_the_page_on_coins_prints_the_xpub_of_a_phrase():
    code = code_of("docs/operating/crypto.md", "python")

    told = subprocess.run(
        [sys.executable, "-c", code], input=PHRASE, capture_output=True, text=True, check=True, start_new_session=True
    )

    assert told.stdout.split()[-1] == EVM

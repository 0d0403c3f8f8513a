"""Migrations of what owner and server shared in one document: interrupted at any commit and resumed, all has moved."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from shared.bootstrap import MEMORY_ENVIRONMENT
from shared.bootstrap.migrations import MIGRATIONS
from shared.kernel.clock import SECOND
from shared.kernel.documents import Delete, Put, Query
from shared.kernel.schemas import SCHEMA_VERSION
from shared.kernel.settings import parse_settings
from shared.ledger.account_documents import account_path, old_plain_fields, state_path
from shared.ledger.key_ring import KeyRing
from shared.ledger.store import AccountStore
from shared.sagas.agents.task_record import LEASE_SECONDS
from shared.sagas.engine.leases import Leases
from shared.sagas.engine.migrations import MigrationReport, Migrations
from tests.support.agents import AgentWorld, as_if_undisturbed, crashed
from tests.support.backend import services_on
from tests.support.chat import ANN
from tests.support.chat import World as ChatWorld
from tests.support.earlier_payments import store_as_before
from tests.support.faults import Crash, FaultyDocuments
from tests.support.images import ImageBackend
from tests.support.indexes import stored
from tests.support.live import check_live
from tests.support.shop import Shop
from tests.unit.sagas import test_old_agent_tasks, test_old_conversations, test_old_image_tasks

COMMITS_MAX = 12
"""As many commits as the longest of these runs has."""


@dataclass(frozen=True, slots=True)
class Before:
    """A database of an earlier release, and the assertion that all goes on once it has moved."""

    name: str
    documents: Any
    clock: Any
    assert_goes_on: Callable[[], None]

    def run(self, documents: Any = None) -> MigrationReport:
        services = services_on(documents or self.documents, self.clock)
        migration = next(entry for entry in MIGRATIONS if entry.name == self.name).build(services)
        return Migrations(services.ports.documents(), self.clock, lambda line: None).run(migration)


def accounts() -> Before:
    world = ChatWorld(documents=stored())
    world.user()
    keys = KeyRing(parse_settings(MEMORY_ENVIRONMENT).ledger_signing_keys)
    account = AccountStore(world.documents, keys, "test").read(ANN).head.account
    sealed = world.documents.get(state_path(ANN))
    old = {name: value for name, value in sealed.data.items() if name != SCHEMA_VERSION} | old_plain_fields(account)
    world.documents.inner.commit([Put(account_path(ANN), old), Delete(state_path(ANN))])

    def assert_goes_on() -> None:
        assert world.documents.get(state_path(ANN)) is not None
        world.ask(world.conversation(), "Still there?")
        assert world.ledger.verify(ANN) == []

    return Before("accounts", world.documents, world.clock, assert_goes_on)


def conversations() -> Before:
    world = ChatWorld(documents=stored())
    world.user()
    talks = [test_old_conversations.make_old(world, world.conversation(title=title)) for title in ("Tea", "Milk")]

    def assert_goes_on() -> None:
        for talk in talks:
            assert not world.conversations.get(ANN, talk.id).is_old
            world.ask(talk, "Still there?")

    return Before("conversations", world.documents, world.clock, assert_goes_on)


def conversation_states() -> Before:
    world = ChatWorld(documents=stored())
    world.user()
    talks = [world.conversation(title=title) for title in ("Tea", "Milk")]
    for talk in talks:
        world.ask(talk, "Are you there?")
        test_old_conversations.take_tail(world, talk)

    def assert_goes_on() -> None:
        for talk in talks:
            assert not world.conversations.get_beside(ANN, talk.id, [])[0].is_behind
            world.ask(talk, "Still there?")
            assert [each.content for each in world.conversations.history(talk.id)][1::2] == [
                "Still there?",
                "Are you there?",
            ]

    return Before("conversation-tails", world.documents, world.clock, assert_goes_on)


def image_tasks() -> Before:
    backend = ImageBackend().open()
    task = test_old_image_tasks.make_old(backend, backend.begin())

    def assert_goes_on() -> None:
        backend.job.run(task.id)
        backend.assert_sound(backend.task(task.id), made=1)

    return Before("image-tasks", backend.documents, backend.clock, assert_goes_on)


def agent_tasks() -> Before:
    world = AgentWorld()
    world.user()
    task = world.begin(files=test_old_agent_tasks.NOTES)
    assert crashed(lambda: world.on(FaultyDocuments(world.documents, at=18)).agents.slice.run(task.id))
    world.clock.advance(LEASE_SECONDS * SECOND)
    halfway = test_old_agent_tasks.make_old(world, world.task(task))

    def assert_goes_on() -> None:
        world.run(halfway)
        as_if_undisturbed(world, halfway)

    return Before("agent-tasks", world.documents, world.clock, assert_goes_on)


def payments() -> Before:
    shop = Shop()
    made = [shop.bought("stripe"), shop.begin("paypal", "open")]
    told = {each.id: shop.instance().payments.view(each.id, None) for each in made}
    for each in made:
        store_as_before(shop.documents, shop.instance().payments.get(each.id))

    def assert_goes_on() -> None:
        assert {each.id: shop.instance().payments.view(each.id, None) for each in made} == told
        assert not [each.id for each in shop.all("payments") if "price_minor" in each.data]

    return Before("payments", shop.documents, shop.clock, assert_goes_on)


ALL = {
    "accounts": accounts,
    "conversations": conversations,
    "conversation_states": conversation_states,
    "image_tasks": image_tasks,
    "agent_tasks": agent_tasks,
    "payments": payments,
}
UNSEEN = {"conversation_states"}
"""Kinds that no listener reads."""


@pytest.mark.parametrize("kind", ALL)
def test_migration_moves_all_of_the_old_form(kind):
    before = ALL[kind]()

    report = before.run()

    assert report.is_complete
    assert report.moved > 0
    for document in before.documents.query(Query(collection=kind, limit=99)):
        if kind not in UNSEEN:
            check_live(kind, document.data)
    assert before.run().moved == 0
    before.assert_goes_on()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, COMMITS_MAX + 1))
@pytest.mark.parametrize("kind", ALL)
def test_migration_interrupted_at_any_commit_is_finished_when_resumed(kind, at, when):
    before = ALL[kind]()
    faulty = FaultyDocuments(before.documents, at=at, when=when)

    with suppress(Crash):
        before.run(faulty)
    assert before.run().is_complete

    assert faulty.commits <= COMMITS_MAX
    before.assert_goes_on()


def test_migration_waits_for_the_worker_of_a_payment():
    before = payments()
    saga = before.documents.query(Query(collection="payment_sagas", limit=1))[0]
    leased = Leases(before.documents, before.clock).claim_read(saga, 45)
    assert leased is not None

    report = before.run()

    assert report.is_complete
    assert report.passes > 2
    before.assert_goes_on()

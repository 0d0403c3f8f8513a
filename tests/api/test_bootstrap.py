import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from shared import bootstrap
from shared.bootstrap import Services, in_memory, part, production
from shared.kernel.clock import SystemClock
from shared.kernel.events import TopicMessage
from shared.kernel.settings import SettingsError, parse_settings
from shared.platform.memory.publisher import MemoryPublisher

PARTS = [name for name in dir(Services) if isinstance(getattr(Services, name), part)]


@pytest.mark.parametrize("name", PARTS)
def test_every_part_can_be_built_in_memory(name):
    services = in_memory()

    assert getattr(services, name) is getattr(services, name)


@pytest.mark.parametrize("name", ["identity", "alerts", "publisher", "ledger", "chat_turn", "operators", "leaving"])
def test_every_part_can_be_built_for_production_without_a_connection(name, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    settings = parse_settings({**bootstrap.MEMORY_ENVIRONMENT, "AI_PLATFORM_API_KEY": "sk-nobody"})

    assert getattr(production(settings), name) is not None


def test_a_part_is_built_once_however_many_ask():
    built = []

    class Slow(Services):
        @part
        def thing(self):
            built.append(threading.current_thread())
            threading.Event().wait(0.05)
            return object()

    like = in_memory()
    services = Slow(like.settings, like.clock, like._adapters)

    with ThreadPoolExecutor(8) as pool:
        things = {id(thing) for thing in pool.map(lambda _: services.thing, range(8))}

    assert (len(built), len(things)) == (1, 1)


def test_parts_can_be_replaced_by_name_and_by_no_other():
    marker = object()

    assert in_memory(chat_model=marker).chat_model is marker
    with pytest.raises(AssertionError):
        in_memory(chat_modell=marker)


def test_settings_are_overridden_by_their_names():
    assert in_memory({"MARKUP_PERCENT": "25"}).tariff.markup_percent == 25


def test_publishing_builds_the_publisher_first():
    like, broker = in_memory(), MemoryPublisher()
    like.__dict__["_adapters"] = SimpleNamespace(publisher=lambda: broker)

    like.publisher.publish([TopicMessage(topic="alerts", data={"n": 1})])
    like.publisher.publish([TopicMessage(topic="alerts", data={"n": 2})])

    assert [message.data["n"] for message in broker.on("alerts")] == [1, 2]


def test_the_process_has_one_set_of_services(monkeypatch):
    monkeypatch.setattr(bootstrap, "_process", None)
    for name, value in bootstrap.MEMORY_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    assert bootstrap.services() is bootstrap.services()
    assert isinstance(bootstrap.services().clock, SystemClock)


def test_a_process_with_wrong_settings_does_not_start(monkeypatch):
    monkeypatch.setattr(bootstrap, "_process", None)
    monkeypatch.delenv("LEDGER_SIGNING_KEY", raising=False)

    with pytest.raises(SettingsError, match="LEDGER_SIGNING_KEY is not set"):
        bootstrap.services()


def test_only_payment_providers_with_their_keys_are_there():
    stripe = {"STRIPE_SECRET_KEY": "sk_test_1"}
    paypal = {"PAYPAL_CLIENT_ID": "a", "PAYPAL_CLIENT_SECRET": "b"}

    found = [
        sorted(production(parse_settings({**bootstrap.MEMORY_ENVIRONMENT, **env})).payment_providers)
        for env in ({}, stripe, paypal, {**stripe, **paypal}, {"PAYPAL_CLIENT_ID": "a"})
    ]

    assert found == [[], ["stripe"], ["paypal"], ["paypal", "stripe"], []]


@pytest.mark.parametrize(
    ("env", "is_live"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_1"}, True),
        ({"STRIPE_SECRET_KEY": "rk_live_1"}, True),
        ({"STRIPE_SECRET_KEY": "sk_test_1"}, False),
        ({"PAYPAL_API_BASE": "https://api-m.paypal.com"}, True),
        ({"PAYPAL_API_BASE": "https://api-m.sandbox.paypal.com"}, False),
        ({"PAYPAL_API_BASE": "http://127.0.0.1:1"}, False),
    ],
)
def test_a_provider_knows_whether_its_money_is_real(env, is_live):
    keys = {} if "STRIPE_SECRET_KEY" in env else {"PAYPAL_CLIENT_ID": "a", "PAYPAL_CLIENT_SECRET": "b"}
    services = production(parse_settings({**bootstrap.MEMORY_ENVIRONMENT, **keys, **env}))

    assert [provider.is_live for provider in services.payment_providers.values()] == [is_live]

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest

from shared import bootstrap
from shared.bootstrap import Services, in_memory, part, production
from shared.bootstrap.ports import LatePublisher, Once, Ports
from shared.kernel.clock import SystemClock
from shared.kernel.events import TopicMessage
from shared.kernel.settings import Settings, SettingsError, parse_settings
from shared.platform.memory.publisher import MemoryPublisher

GROUPS = {name: type(group) for name, group in vars(in_memory()).items() if type(group).__name__.endswith("Services")}
GROUPS[""] = Services
PARTS = [(group, name) for group, kind in GROUPS.items() for name in dir(kind) if isinstance(getattr(kind, name), part)]
PORTS = [field.name for field in fields(Ports)]


def built(services: Services, group: str, name: str) -> object:
    return getattr(getattr(services, group) if group else services, name)


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_a_part_in_memory_is_built_once(group, name):
    services = in_memory()

    assert built(services, group, name) is built(services, group, name)


@pytest.mark.parametrize("name", PORTS)
def test_a_port_in_memory_is_built_once(name):
    ports = in_memory().ports

    assert getattr(ports, name)() is getattr(ports, name)()


@pytest.mark.parametrize("name", ["identity", "alerts", "publisher"])
def test_a_port_of_production_is_built_without_a_connection(name, production_settings):
    assert getattr(production(production_settings).ports, name)() is not None


@pytest.mark.parametrize(
    ("group", "name"), [("credits", "ledger"), ("chat", "turn"), ("", "operators"), ("", "leaving")]
)
def test_a_part_of_production_is_built_without_a_connection(group, name, production_settings):
    assert built(production(production_settings), group, name) is not None


@pytest.fixture
def production_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    return parse_settings({**bootstrap.MEMORY_ENVIRONMENT, "AI_PLATFORM_API_KEY": "sk-nobody"})


def test_a_part_is_built_once_however_many_ask():
    calls = []

    class Slow:
        @part
        def thing(self):
            calls.append(threading.current_thread())
            threading.Event().wait(0.05)
            return object()

    services = Slow()

    with ThreadPoolExecutor(8) as pool:
        things = {id(thing) for thing in pool.map(lambda _: services.thing, range(8))}

    assert (len(calls), len(things)) == (1, 1)


def test_a_port_is_built_once_however_many_ask():
    calls = []

    def build():
        calls.append(threading.current_thread())
        threading.Event().wait(0.05)
        return object()

    port = Once(build)

    with ThreadPoolExecutor(8) as pool:
        things = {id(thing) for thing in pool.map(lambda _: port(), range(8))}

    assert (len(calls), len(things)) == (1, 1)


def test_ports_can_be_replaced_by_name_and_by_no_other():
    marker = object()

    assert in_memory(chat_model=marker).ports.chat_model() is marker
    with pytest.raises(TypeError):
        in_memory(chat_modell=marker)


def test_settings_are_overridden_by_their_names():
    assert in_memory({"MARKUP_PERCENT": "25"}).models.tariff.markup_percent == 25


def test_publishing_builds_the_publisher_first():
    broker = MemoryPublisher()
    publisher = LatePublisher(lambda: broker)

    publisher.publish([TopicMessage(topic="alerts", data={"n": 1})])
    publisher.publish([TopicMessage(topic="alerts", data={"n": 2})])

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
        sorted(production(parse_settings({**bootstrap.MEMORY_ENVIRONMENT, **env})).ports.payment_providers())
        for env in ({}, stripe, paypal, {**stripe, **paypal}, {"PAYPAL_CLIENT_ID": "a"})
    ]

    assert found == [[], ["stripe"], ["paypal"], ["paypal", "stripe"], []]


@pytest.mark.parametrize(
    ("env", "is_live"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_1"}, True),
        ({"STRIPE_SECRET_KEY": "rk_live_1"}, True),
        ({"STRIPE_SECRET_KEY": "sk_org_live_1"}, True),
        ({"STRIPE_SECRET_KEY": "sk_test_1"}, False),
        ({"STRIPE_SECRET_KEY": "rk_test_live_1"}, False),
        ({"STRIPE_SECRET_KEY": "sk_org_test_1"}, False),
        ({"PAYPAL_API_BASE": "https://api-m.paypal.com"}, True),
        ({"PAYPAL_API_BASE": "https://api-m.sandbox.paypal.com"}, False),
        ({"PAYPAL_API_BASE": "http://127.0.0.1:1"}, False),
    ],
)
def test_a_provider_knows_whether_its_money_is_real(env, is_live):
    keys = {} if "STRIPE_SECRET_KEY" in env else {"PAYPAL_CLIENT_ID": "a", "PAYPAL_CLIENT_SECRET": "b"}
    services = production(parse_settings({**bootstrap.MEMORY_ENVIRONMENT, **keys, **env}))

    assert [provider.is_live for provider in services.ports.payment_providers().values()] == [is_live]

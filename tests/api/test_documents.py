"""The OpenAPI document is for people: every field is described, every example works."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from emulator.examples import make_examples, scripted_adapters
from emulator.seed import MODELS, OPERATOR, PACKAGES, PASSWORD, USER, document
from functions.http import examples
from functions.http.openapi import document as openapi
from functions.http.table import ROUTES
from shared.bootstrap import Services, in_memory
from shared.bootstrap.jobs import JobWorkers
from shared.kernel.alert_book import AlertBook
from shared.kernel.documents import Put
from shared.kernel.ids import Uid, is_safe_id
from shared.ledger.log.merkle import leaf_hash
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.engine.jobs import JobRun
from tests.api.world import Person, World
from tests.support.logged_accounts import append_leaves, log_entries, sign_head

STATIC = Path(__file__).parents[2] / "functions" / "http" / "static"
DOCUMENT = openapi(ROUTES)
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path.removeprefix("/v1"), operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
FOR_OPERATORS = {route.name for route in ROUTES if route.access.roles} | {"monitoring_metrics"}
PROVIDER = "paypal"
SETTINGS = {"WELCOME_BONUS_REQUIRES": "any"}

NEVER_ANSWERED_WITH_SUCCESS = {
    "openai_cancel_response": "No response is begun in the background, and OpenAI cancels no other: 400 by design.",
    "payments_pay_with_coins": "A network must be set up first: 422.",
    "payments_buy_with_x402": "A network and a facilitator must be set up first: 409.",
    "payments_change_coins": "Coins come over a chain, and the example payment came through a provider: 404.",
    "payments_take_part": "Coins come over a chain, and the example payment came through a provider: 404.",
    "payments_prepare_transaction": "The example payment came through a provider, and not over a chain: 404.",
    "payments_broadcast": "The example payment came through a provider, and not over a chain: 404.",
    "payments_payer_page_state": "The example payment has no page for its payer: 404.",
    "payments_payer_page_networks": "The example payment has no page for its payer: 404.",
    "payments_payer_page_take": "The example payment has no page for its payer: 404.",
    "payments_payer_page_change": "The example payment has no page for its payer: 404.",
    "payments_refund_address": "Only coins go back to an address, and the example payment came otherwise: 409.",
    "payments_put_refund_address": "Only coins go back to an address, and the example payment came otherwise: 409.",
    "admin_archives_archive": "The newest entries of the example's account wait for the log: 409.",
    "admin_archives_unarchive": "Nothing is archived on a fresh laptop: 409.",
    "admin_crypto_assign": "No coins came on a fresh laptop: 404.",
    "admin_crypto_ignore": "No coins came on a fresh laptop: 404.",
    "admin_payments_payout_sent": "Only coins go back from a wallet, and the example payment came otherwise: 404.",
    "admin_payments_cancel_payout": "Only coins go back from a wallet, and the example payment came otherwise: 404.",
    "images_linked": "A link is signed with the laptop's own key and ends after minutes; GET /images/{id} tells one.",
}
"""Operations whose example of a path or body cannot work, and why."""


def bodies_of(name: str) -> dict[str, Any]:
    """The body examples of an operation by form; `none` for an operation that takes no body."""
    operation = OPERATIONS[name][2]
    if "requestBody" not in operation:
        return {"none": None}
    found = operation["requestBody"]["content"]["application/json"].get("examples", {})
    return {form: each["value"] for form, each in found.items()}


def optional_of(name: str) -> list[str]:
    """The names of an operation's parameters that a caller may leave out."""
    return [each["name"] for each in OPERATIONS[name][2]["parameters"] if not each.get("required")]


def requests_of(name: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each body with the required parameters alone; then the first body with each optional one, and with all."""
    forms, optional = list(bodies_of(name)), optional_of(name)
    yield from ((name, form, ()) for form in forms)
    together = {"from": ("from", "to")}  # a range that ends today could be too long one day
    yield from ((name, forms[0], together.get(each, (each,))) for each in optional)
    if len(optional) > 1:
        yield name, forms[0], tuple(optional)


REQUESTS = [request for name in OPERATIONS if name not in NEVER_ANSWERED_WITH_SUCCESS for request in requests_of(name)]


def fresh_laptop() -> World:
    """A world with the models, packages, people and things of a laptop after `make run`."""
    world = World(SETTINGS)
    models = [Put(f"models/{name}", {**document(name), **each}) for name, each in MODELS.items()]
    world.services.ports.documents().commit(models)
    for name, each in PACKAGES.items():
        world.services.payments.packages.put(name, each)
    for person in (USER, OPERATOR):
        world.identity.sign_up(person["email"], uid=person["uid"], claims={"roles": person.get("roles", [])})
    make_examples_in(world)
    log_examples(world)
    return world


def log_examples(world: World) -> None:
    """A log with a full tile of leaves, the first entry of the example user among them, a checkpoint, a closed day, an
    alert.

    The entries of the example user are published.
    """
    documents = world.services.ports.documents()
    world.services.credits.relay.relay(Uid(USER["uid"]))
    log_entries(documents, Uid(USER["uid"]), 1)
    append_leaves(documents, [leaf_hash(b"another")] * 255)
    sign_head(documents)
    JobWorkers(world.services).days.close(JobRun("", world.clock, 60.0))
    book = AlertBook(world.services.ports.documents, world.clock, lambda _, write: write())
    book.note("job_broken", {"job": "relay", "code": "KeyError"})


def make_examples_in(world: World) -> Services:
    """Make the examples as the laptop does: by services of their own, over the same data."""
    ports = world.services.ports
    shared = {
        "documents": ports.documents(),
        "objects": ports.objects(),
        "payment_providers": ports.payment_providers(),
    }
    services = in_memory(SETTINGS, clock=world.clock, **shared, **scripted_adapters())
    provider = ports.payment_providers()[PROVIDER]
    assert isinstance(provider, MemoryProvider)
    make_examples(services, PROVIDER, lambda payment, _: provider.approve(payment))
    return services


@pytest.fixture
def world() -> World:
    return fresh_laptop()


@pytest.fixture(scope="module")
def read_world() -> World:
    """A laptop for operations that only read."""
    return fresh_laptop()


def person_of(world: World, person: Any) -> Person:
    return Person(world=world, uid=Uid(person["uid"]), token=world.identity.token(person["uid"]))


def send(world: World, name: str, form: str, wanted: tuple[str, ...]) -> Any:
    """One request made of nothing but examples: required parameters and the wanted ones, and the body."""
    method, path, operation = OPERATIONS[name]
    given = [each for each in operation["parameters"] if each.get("required") or each["name"] in wanted]
    values = {place: {each["name"]: str(each["example"]) for each in given if each["in"] == place} for place in PLACES}
    for parameter, value in values["path"].items():
        path = path.replace(f"{{{parameter}}}", quote(value, safe=""))
    path = f"{path}?{urlencode(values['query'])}" if values["query"] else path
    person = person_of(world, OPERATOR if name in FOR_OPERATORS else USER)
    return person.call(method, path, body=bodies_of(name)[form], headers=values["header"])


PLACES = ("path", "query", "header")


@pytest.mark.parametrize(("name", "form", "wanted"), [each for each in REQUESTS if OPERATIONS[each[0]][0] == "GET"])
def test_every_example_of_a_read_is_answered_with_success(read_world, name, form, wanted):
    answered = send(read_world, name, form, wanted)

    assert 200 <= answered.status_code < 300, answered.get_data(as_text=True)


@pytest.mark.parametrize(("name", "form", "wanted"), [each for each in REQUESTS if OPERATIONS[each[0]][0] != "GET"])
def test_every_example_of_a_change_is_answered_with_success(world, name, form, wanted):
    answered = send(world, name, form, wanted)

    assert 200 <= answered.status_code < 300, answered.get_data(as_text=True)


def test_links_of_example_image_show_the_picture_to_anybody(world):
    told = person_of(world, USER).get(f"/images/{examples.IMAGE}").json

    shown = world.call("GET", told["link"].removeprefix("/v1"))

    assert (shown.status_code, shown.mimetype) == (200, "image/png")


def test_cancelling_the_example_response_is_refused_by_design(world):
    answered = send(world, "openai_cancel_response", "short", ())

    assert (answered.status_code, answered.json["error"]["code"]) == (400, "response_not_cancellable")


def test_examples_are_made_once_however_often_a_laptop_starts(world):
    before = list(world.services.credits.ledger.export(Uid(USER["uid"])))[:-1]

    make_examples_in(world)

    assert list(world.services.credits.ledger.export(Uid(USER["uid"])))[:-1] == before


def test_journal_of_the_example_user_keeps_every_law(world):
    assert world.services.credits.ledger.verify(Uid(USER["uid"])) == []


def test_things_of_the_example_user_stand_as_described(world):
    user = person_of(world, USER)
    task = user.get(f"/chat/agent-tasks/{examples.AGENT_TASK}").json
    statuses = {
        "image task": user.get(f"/images/generate/{examples.IMAGE_TASK}").json["status"],
        "agent task": (task["status"], task["reason"], [file["name"] for file in task["files"]]),
        "payment": user.get(f"/payments/status/{examples.PAYMENT}").json["status"],
        "reservation": user.get(f"/credits/reservations/{examples.RESERVATION}").json["status"],
        "messages": len(user.get(f"/chat/conversations/{examples.CONVERSATION}/messages").json["items"]),
        "purposes": [row["purpose"] for row in user.get("/credits/history").json["items"]][::-1],
    }

    assert statuses == {
        "image task": "done",
        "agent task": ("paused", "step_limit", ["numbers.txt", "result.txt"]),
        "payment": "settled",
        "reservation": "active",
        "messages": 2,
        "purposes": ["adjustment", "chat", "image", "agent", "openai", "purchase"],
    }


def test_reference_page_shows_the_sign_in_of_a_laptop():
    page = (STATIC / "swagger-sign-in.js").read_text()

    assert [each for each in (USER["email"], OPERATOR["email"], PASSWORD) if json.dumps(each) not in page] == []


def test_operators_examples_name_the_user_of_a_fresh_laptop():
    assert {name: examples.OF_NAME[name] for name in USER} == USER


def test_every_body_has_an_example():
    missing = [name for name in OPERATIONS if not bodies_of(name)]

    assert missing == [], "write one in functions/http/examples.py"


def test_every_parameter_has_a_description_and_an_example():
    missing = [
        (name, each["name"])
        for name, (_, _, operation) in OPERATIONS.items()
        for each in operation["parameters"]
        if "example" not in each or not each.get("description")
    ]

    assert missing == [], "write them in functions/http/examples.py and descriptions.py"


def test_every_field_has_a_description():
    missing = [
        f"{schema}.{name}"
        for schema, each in DOCUMENT["components"]["schemas"].items()
        for name, told in each.get("properties", {}).items()
        if not told.get("description")
    ]

    assert missing == [], "write them in functions/http/descriptions.py"


def test_an_example_of_an_id_is_an_id():
    ids = [each["example"] for _, _, op in OPERATIONS.values() for each in op["parameters"] if each["in"] == "path"]

    assert all(is_safe_id(str(each)) for each in ids)

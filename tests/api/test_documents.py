"""The OpenAPI document is for people: every field is described, every example works."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest

from emulator.seed import MODELS, PACKAGES, USER, document
from functions.http.examples import OF_NAME
from functions.http.openapi import document as openapi
from functions.http.table import ROUTES
from shared.ai.agents.thinking import Thought, ToolCall
from shared.ai.tokens import Usage
from shared.kernel.documents import Put
from shared.kernel.ids import is_safe_id
from shared.platform.memory.payments import MemoryProvider
from shared.platform.memory.publisher import MemoryPublisher
from shared.platform.memory.thinking import ScriptedThinkingModel
from tests.api.world import Person, World
from tests.support.adapters import replace_adapters

DOCUMENT = openapi(ROUTES)
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path.removeprefix("/v1"), operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
USAGE = Usage(input_tokens=100, output_tokens=10)
ARTIFACT = '{"name": "result.txt", "content": "A quarter."}'


def bodies_of(name: str) -> dict[str, Any]:
    """The body examples of an operation by form; `none` for an operation that takes no body."""
    operation = OPERATIONS[name][2]
    if "requestBody" not in operation:
        return {"none": None}
    examples = operation["requestBody"]["content"]["application/json"].get("examples", {})
    return {form: each["value"] for form, each in examples.items()}


REFUSED = {"openai_cancel_response"}
"""Operations that only ever say why not: nothing is begun in the background that could be cancelled."""
BODIES = [(name, form) for name in OPERATIONS for form in bodies_of(name) if name not in REFUSED]
QUERIES = [
    (name, parameter["name"])
    for name, (_, _, operation) in OPERATIONS.items()
    for parameter in operation["parameters"]
    if parameter["in"] in {"query", "header"} and name not in REFUSED
]


@pytest.fixture
def world():
    world = World({"WELCOME_BONUS_REQUIRES": "any"})
    replace_adapters(world.services, publisher=MemoryPublisher())
    writes = ToolCall(id="c", name="write_artifact", arguments=ARTIFACT)
    steps = [Thought(text="", calls=(writes,), usage=USAGE), Thought(text="Done.", calls=(), usage=USAGE)]
    replace_adapters(world.services, thinking_model=ScriptedThinkingModel(steps))
    models = [Put(f"models/{name}", {**document(name), **each}) for name, each in MODELS.items()]
    world.services.ports.documents().commit(models)
    for name, each in PACKAGES.items():
        world.services.payments.packages.put(name, each)
    return world


@pytest.fixture
def person(world) -> Person:
    """Somebody who may do everything, and has credits."""
    return world.person("admin", "support", "auditor", email="ann@example.com", credits_=1_000)


def made(person: Person, path: str, body: Any = None) -> Any:
    answer = person.post(path, body)
    assert answer.status_code < 300, answer.json
    return answer.json


def conversation(person: Person, name: str) -> str:
    del name
    return str(made(person, "/chat/conversations", {"message": "Name three colours."})["id"])


def reservation(person: Person, name: str) -> str:
    del name
    return str(made(person, "/credits/reserve", {"amount": "1"})["id"])


def api_key(person: Person, name: str) -> str:
    del name
    made(person, "/api-keys", {"name": "k", "scopes": ["chat"]})
    return str(person.get("/api-keys").json["items"][0]["id"])


def task(person: Person, name: str) -> str:
    del name
    asked = str(made(person, "/images/generate", {"prompt": "A fox"})["task_id"])
    person.world.services.images.job.run(asked)
    return asked


def image(person: Person, name: str) -> str:
    asked = task(person, name)
    return str(person.get(f"/images/generate/{asked}").json["images"][0]["id"])


def link(person: Person, name: str) -> str:
    told = person.get(f"/images/{image(person, name)}").json
    return str(told["link"].rpartition("/")[2])


def agent_task(person: Person, name: str) -> str:
    begun = str(made(person, "/chat/agent-tasks", {"goal": "Add up.", "budget": "5", "max_steps": 1})["id"])
    if name != "agents_cancel":
        for _ in range(5):
            person.world.services.agents.slice.run(begun)
    return begun


def payment(person: Person, name: str) -> str:
    buyer = person if name == "payments_status" else person.world.person()
    begun = str(made(buyer, "/payments/traditional", {"package_id": "standard", "provider": "stripe"})["payment_id"])
    provider = person.world.services.ports.payment_providers()["stripe"]
    assert isinstance(provider, MemoryProvider)
    provider.approve(begun)
    assert buyer.get(f"/payments/status/{begun}").json["status"] == "settled"
    return begun


def user(person: Person, name: str) -> str:
    del name
    return str(person.world.person(credits_=1).uid)


def kept_response(person: Person, name: str) -> str:
    del name
    return str(made(person, "/openai/responses", bodies_of("openai_responses")["short"])["id"])


MAKERS = {
    "openai": {"id": kept_response},
    "api_keys": {"id": api_key},
    "credits": {"id": reservation},
    "chat": {"id": conversation},
    "images": {"id": image, "task_id": task, "link": link},
    "agents": {"id": agent_task},
    "payments": {"id": payment},
    "admin_payments": {"id": payment},
    "admin": {"uid": user},
    "admin_journals": {"uid": user},
}
"""What a user makes first, so that a path has something to name; by tag and parameter."""


def path_of(person: Person, name: str) -> str:
    """The path with its examples; the user's own things instead of those that the user has to make first."""
    _, path, operation = OPERATIONS[name]
    for each in operation["parameters"]:
        if each["in"] == "path":
            example = str(each["example"])
            if example.endswith("_example"):
                example = MAKERS[operation["tags"][0]][each["name"]](person, name)
            path = path.replace(f"{{{each['name']}}}", quote(example, safe=""))
    return path


def send(person: Person, name: str, body: Any, *wanted: str) -> Any:
    """One request made of examples: the required parameters, and those that are wanted."""
    method, _, operation = OPERATIONS[name]
    if name == "openai_stop_call":
        asked = bodies_of("openai_chat_completions")["short"]
        person.post("/openai/chat/completions", asked, headers={"X-Request-Id": body["request_id"]}, key="first")
    path = path_of(person, name)
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for each in operation["parameters"]:
        if each["in"] != "path" and (each.get("required") or each["name"] in wanted):
            (query if each["in"] == "query" else headers)[each["name"]] = str(each["example"])
    return person.call(method, f"{path}?{urlencode(query)}" if query else path, body=body, headers=headers)


@pytest.mark.parametrize(("name", "form"), BODIES)
def test_every_example_is_answered_with_success(person, name, form):
    answered = send(person, name, bodies_of(name)[form])

    assert 200 <= answered.status_code < 300, answered.get_data(as_text=True)


@pytest.mark.parametrize(("name", "wanted"), QUERIES)
def test_every_parameter_is_answered_with_success(person, name, wanted):
    together = ["from", "to"] if wanted == "from" else [wanted]  # a range that ends today could be too long one day

    answered = send(person, name, next(iter(bodies_of(name).values())), *together)

    assert 200 <= answered.status_code < 300, answered.get_data(as_text=True)


@pytest.mark.parametrize("name", sorted({name for name, _ in QUERIES}))
def test_all_parameters_together_are_answered_with_success(person, name):
    parameters = [each["name"] for each in OPERATIONS[name][2]["parameters"]]

    answered = send(person, name, next(iter(bodies_of(name).values())), *parameters)

    assert 200 <= answered.status_code < 300, answered.get_data(as_text=True)


def test_operators_examples_name_the_user_of_a_fresh_laptop():
    assert {name: OF_NAME[name] for name in USER} == USER


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

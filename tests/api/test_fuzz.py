"""Schemathesis over the generated document: whatever is sent, the answer is one that the document describes."""

import os

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import checks
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from shared.kernel.clock import MINUTE
from tests.api.world import MODEL, World

EXAMPLES = int(os.environ.get("EXAMPLES", "5"))
"""Requests per operation. `make hostile` sends more."""
BOUNDED = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
    unsupported_method,
]

WORLD = World(env={"RATE_LIMIT_PER_MINUTE": "60000", "RATE_LIMIT_BURST": "60000"})
REFUSALS = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "429"]


def described(*, with_boundaries):
    """The document, as a source of requests. The boundary values of all fields are many: once is enough."""
    checked = {"negative_data_rejection": {"expected-statuses": REFUSALS}}
    phases = {"coverage": {"enabled": with_boundaries}}
    config = SchemathesisConfig.from_dict({"checks": checked, "phases": phases})
    return schemathesis.openapi.from_wsgi("/v1/docs/openapi.json", WORLD.app, config=config)


everything = described(with_boundaries=True)
something = described(with_boundaries=False)


def things_of(person):
    """Path values that name something of this person's, by the path they stand in."""
    # Earlier requests may have made of the model what they liked.
    WORLD.services.models.catalogue.put("gpt-4o-mini", {**MODEL, "capabilities": ["tools"]})
    task = person.post("/chat/agent-tasks", {"goal": "g", "budget": "1"}).json["id"]
    reservation = person.post("/credits/reserve", {"amount": "1"}).json["id"]
    conversation = person.post("/chat/conversations", {"message": "Hello"}).json["id"]
    return {
        "/v1/credits/reservations/": {"id": reservation},
        "/v1/chat/conversations/": {"id": conversation},
        "/v1/chat/agent-tasks/": {"id": task, "name": "a.md"},
        "/v1/admin/users/": {"uid": WORLD.person(credits_=3).uid},
        "/v1/admin/models/": {"id": "gpt-4o-mini"},
    }


@everything.parametrize()
@BOUNDED
def test_whatever_is_sent_the_answer_is_one_that_the_document_describes(case):
    WORLD.clock.advance(MINUTE)
    who = WORLD.person("admin", credits_=5)

    case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {who.token}"})


@something.include(path_regex=r"\{").parametrize()
@BOUNDED
def test_so_it_is_where_the_path_names_something_that_exists(case):
    WORLD.clock.advance(MINUTE)
    who = WORLD.person("admin", credits_=5)
    for prefix, values in things_of(who).items():
        if case.path.startswith(prefix):
            case.path_parameters = {name: values[name] for name in case.path_parameters}

    case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {who.token}"})


@something.parametrize()
@hypothesis.settings(BOUNDED, max_examples=2)
def test_nothing_private_is_told_to_somebody_without_a_token(case):
    WORLD.clock.advance(MINUTE)
    is_private = bool(case.operation.definition.raw["security"])

    response = case.call_and_validate(checks=CHECKS)

    assert (response.status_code == 401) is is_private

"""Taking one secret, role, topic or API away fails, with Google's words: tried on the recorded requests of the CLI."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.deployments import delivery_problem
from emulator.stand_ins.google.operations import Operations
from emulator.stand_ins.google.state import Project, State
from tests.deploy.asking import Client
from tests.deploy.deployed import PROJECT, Deployment
from tests.deploy.table import APIS, EVENTS, FUNCTIONS, INVOKER, OTHER_TOPICS, READS_SECRETS, TRIGGER_TOPICS, TRIGGERED

FUNCTIONS_API = "cloudfunctions.googleapis.com/v2"
IN_REGION = f"projects/{PROJECT}/locations/us-central1"
DATABASE = f"projects/{PROJECT}/databases/(default)"
SECRETS = sorted({secret for row in FUNCTIONS.values() for secret in row.secrets})
ASKED_AT_WORK = {
    "roles/datastore.user": ("GET", f"firestore.googleapis.com/v1/{DATABASE}/documents/accounts"),
    "roles/firebaseauth.admin": ("POST", f"identitytoolkit.googleapis.com/v1/projects/{PROJECT}/accounts:update"),
    "roles/firebaseauth.viewer": ("POST", f"identitytoolkit.googleapis.com/v1/projects/{PROJECT}/accounts:lookup"),
    "roles/pubsub.publisher": ("POST", f"pubsub.googleapis.com/v1/projects/{PROJECT}/topics/alerts:publish"),
    "roles/storage.objectUser": ("GET", f"storage.googleapis.com/storage/v1/b/{PROJECT}-images/o/one.png"),
}  # fmt: skip
"""A call that a function makes at work, by the role that allows the call."""
BODIES: dict[str, Any] = {
    "roles/firebaseauth.admin": {"localId": "someone", "disableUser": True},
    "roles/firebaseauth.viewer": {"localId": ["someone"]},
    "roles/pubsub.publisher": {"messages": [{"data": "e30="}]},
}


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as server:
        yield server


@pytest.fixture(scope="module")
def before(deployment: Deployment) -> State:
    """The deployment's state before its functions: accounts, roles, secrets, topics and archives are there."""
    live = deployment.google.state.projects[PROJECT]
    backend, live.backend = live.backend, None
    state = copy.deepcopy(deployment.google.state)
    live.backend = backend
    project = state.projects[PROJECT]
    project.operations = Operations(polls=0)
    for kind in ("Function", "Service", "Trigger", "Subscription", "Index", "Field"):
        project.table(kind).clear()
    return state


@pytest.fixture
def again(google: GoogleStandIn, before: State) -> Project:
    """The project of that state, to be changed by one test."""
    google.state = copy.deepcopy(before)
    return google.state.projects[PROJECT]


def create(google: GoogleStandIn, deployment: Deployment, name: str) -> str:
    """Repeat the CLI's request for a function. Returns the refusal's words, or the function's state."""
    body = copy.deepcopy(deployment.functions[name])
    status, told = Client(google)("POST", f"{FUNCTIONS_API}/{IN_REGION}/functions?functionId={name}", body)
    if status != 200:
        return str(told["message"])
    return str(told["error"]["message"] if "error" in told else told["response"]["state"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_recorded_request_is_taken_again(google, deployment, again, name):
    assert create(google, deployment, name) == "ACTIVE"


@pytest.mark.parametrize("secret", SECRETS)
def test_every_function_with_a_secret_fails_without_the_secret(google, deployment, again, secret):
    again.table("Secret").remove(f"projects/{PROJECT}/secrets/{secret}")

    outcomes = {name: create(google, deployment, name) for name in FUNCTIONS}

    for name, row in FUNCTIONS.items():
        words = f"secrets/{secret}/versions/1 was not found" if secret in row.secrets else "ACTIVE"
        assert words in outcomes[name]


@pytest.mark.parametrize("secret", SECRETS)
def test_every_function_with_a_secret_fails_without_a_version(google, deployment, again, secret):
    again.table("SecretVersion").clear()

    name = next(name for name, row in FUNCTIONS.items() if row.secrets[:1] == (secret,) or secret in row.secrets)

    assert "was not found" in create(google, deployment, name)


@pytest.mark.parametrize("topic", sorted(TRIGGER_TOPICS))
def test_a_function_fails_without_the_topic_that_triggers_it(google, deployment, again, topic):
    again.table("Topic").remove(f"projects/{PROJECT}/topics/{topic}")
    name = next(name for name, row in FUNCTIONS.items() if topic in row.trigger)

    assert f"topics/{topic} does not exist." in create(google, deployment, name)


@pytest.mark.parametrize("topic", sorted(OTHER_TOPICS))
def test_publishing_fails_without_the_topic(google, again, topic):
    address = f"pubsub.googleapis.com/v1/projects/{PROJECT}/topics/{topic}"
    body = BODIES["roles/pubsub.publisher"]
    again.table("Topic").remove(f"projects/{PROJECT}/topics/{topic}")

    status, error = Client(google)("POST", f"{address}:publish", body)
    Client(google)("PUT", address, {})

    assert (status, error["message"]) == (404, f"Resource not found (resource={topic}).")
    assert Client(google)("POST", f"{address}:publish", body)[0] == 200


ROLES = [(name, role) for name, row in FUNCTIONS.items() for role in sorted(row.roles)]


@pytest.mark.parametrize(("name", "role"), [each for each in ROLES if each[1] not in TRIGGERED])
def test_a_function_is_refused_at_work_without_one_of_its_roles(google, deployment, again, name, role):
    account = f"serviceAccount:{deployment.account(name)}"
    google.state.principals["function"] = account
    prepare_work(google, again)
    ask = Client(google)
    ask.token = "function"
    method, address = ASKED_AT_WORK[role]

    before = ask(method, address, BODIES.get(role))
    again.policy.revoke(role, account)
    google.state.bucket_policies[f"{PROJECT}-images"].revoke(role, account)
    after = ask(method, address, BODIES.get(role))

    assert before[0] == 200, before
    assert (after[0], after[1]["status"]) == (403, "PERMISSION_DENIED")
    assert "denied" in after[1]["message"]


def prepare_work(google: GoogleStandIn, project: Project) -> None:
    """Make the object and the user that a function at work asks for."""
    google.state.objects[f"{PROJECT}-images", "one.png"] = b"a picture"
    project.table("User")["someone"] = {"localId": "someone"}


@pytest.mark.parametrize("name", [name for name, row in FUNCTIONS.items() if row.roles >= TRIGGERED])
def test_a_function_without_the_role_to_receive_events_is_refused(google, deployment, again, name):
    again.policy.revoke(EVENTS, f"serviceAccount:{deployment.account(name)}")

    assert "Permission 'eventarc.events.receiveEvent' denied" in create(google, deployment, name)


@pytest.mark.parametrize("name", [name for name, row in FUNCTIONS.items() if row.roles >= TRIGGERED])
def test_an_event_does_not_reach_a_function_that_its_account_may_not_call(google, deployment, again, name):
    create(google, deployment, name)
    assert delivery_problem(again, name) == ""

    again.policy.revoke(INVOKER, f"serviceAccount:{deployment.account(name)}")

    assert "The request was not authenticated." in delivery_problem(again, name)


@pytest.mark.parametrize("name", [name for name, row in FUNCTIONS.items() if row.secrets])
def test_a_function_that_may_not_read_its_secrets_is_refused(google, deployment, again, name):
    account = f"serviceAccount:{deployment.account(name)}"
    for secret in FUNCTIONS[name].secrets:
        again.policy_of(f"projects/{PROJECT}/secrets/{secret}").revoke(READS_SECRETS, account)

    assert "must be granted the 'Secret Manager Secret Accessor' role" in create(google, deployment, name)


@pytest.mark.parametrize("api", sorted(APIS))
def test_the_deployment_fails_without_one_of_its_apis(google, deployment, again, api):
    host = f"{api}.googleapis.com"
    again.disable(host)

    assert "has not been used in project" in words_without(google, deployment, host)


def words_without(google: GoogleStandIn, deployment: Deployment, host: str) -> str:
    """Repeat the first request to a host, or a call of a function at work, or a deployment. Returns the refusal."""
    calls = [
        (seen.http_method, f"{seen.host}{seen.path}", seen.body) for seen in deployment.google.requests if seen.method
    ]
    calls += [(method, address, BODIES.get(role)) for role, (method, address) in ASKED_AT_WORK.items()]
    for method, address, body in calls:
        if address.startswith(f"{host}/"):
            status, told = Client(google)(method, address, body)
            assert status == 403, told
            return str(told["message"])
    return create(google, deployment, "run_agent_step")


@pytest.mark.parametrize("name", ["every_minute", "every_day"])
def test_a_schedule_fails_without_the_grant_to_call_its_function(google, deployment, again, name):
    create(google, deployment, name)
    service = f"{IN_REGION}/services/{name.replace('_', '-')}"
    address = f"cloudscheduler.googleapis.com/v1/{IN_REGION}/jobs/firebase-schedule-{name}-us-central1:run"
    granted = Client(google)("POST", address, {})[1]

    again.policies.pop(service)
    refused = Client(google)("POST", address, {})[1]

    assert granted["status"] == {}
    assert "The request was not authenticated." in refused["status"]["message"]

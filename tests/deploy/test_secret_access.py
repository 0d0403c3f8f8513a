"""Access after a deployment: each account uses its own secrets and one bucket, and loses the roles on all of them."""

from dataclasses import replace
from pathlib import Path

import pytest
import requests

from emulator.cloud.google import Google
from emulator.cloud.problems import GoogleRefused
from emulator.cloud.project import Project
from emulator.cloud.roles import OBJECTS, ROLES, SECRETS
from emulator.cloud.secret_manager import SecretManager
from emulator.cloud.steps import access, bucket
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.state import add_account
from shared.bootstrap.secrets import project_secrets, secrets_of
from tests.support.deployments import SHOP, new_project

FUNCTIONS = ("api", "on_ledger_entry", "run_agent_step")
OTHER = "serviceAccount:backup@elsewhere.iam.gserviceaccount.com"


@pytest.fixture
def project(google: GoogleStandIn, tmp_path: Path) -> Project:
    """A project with three functions, each with an account that holds the role to read every secret."""
    project = new_project(google, tmp_path)
    state = google.state.projects[SHOP]
    apis = ("cloudfunctions", "secretmanager", "cloudresourcemanager", "iam", "storage")
    state.enable(*(f"{api}.googleapis.com" for api in apis))
    for name in project_secrets(project.settings.all()):
        project.secrets.add(name, "a value")
    for name in FUNCTIONS:
        account = add_account(state, account_of(name))["email"]
        for role in {SECRETS, OBJECTS} & set(ROLES[name]):
            state.policy.grant(role, f"serviceAccount:{account}")
        full = f"projects/{SHOP}/locations/us-central1/functions/{name}"
        state.table("Function")[full] = {"name": full, "serviceConfig": {"serviceAccountEmail": account}}
    state.policy.grant(SECRETS, OTHER)
    for change in bucket.look(project):
        change.do()
    return project


def account_of(function: str) -> str:
    return f"firebase-fn-{FUNCTIONS.index(function)}@{SHOP}.iam.gserviceaccount.com"


def act(project: Project) -> None:
    for look in (access.look, access.look_at_excess):
        for change in look(project):
            change.do()


def may_read(google: GoogleStandIn, function: str) -> set[str]:
    state = google.state.projects[SHOP]
    member = f"serviceAccount:{account_of(function)}"
    return {
        name.rpartition("/")[2]
        for name in state.table("Secret")
        if state.may(member, "secretmanager.versions.access", name)
    }


def test_account_reads_its_own_secrets_and_no_others(google, project):
    act(project)

    settings = project.settings.all()
    assert {name: may_read(google, name) for name in FUNCTIONS} == {
        name: set(secrets_of(name, settings)) for name in FUNCTIONS
    }
    state = google.state.projects[SHOP]
    assert state.policy.bindings[SECRETS] == {OTHER}
    assert (access.look(project), access.look_at_excess(project)) == ([], [])


def test_account_uses_the_bucket_of_users_files_and_no_other(google, project):
    act(project)

    state = google.state.projects[SHOP]
    painters = {f"serviceAccount:{account_of(name)}" for name in ("api", "run_agent_step")}
    assert google.state.bucket_policies[f"{SHOP}-images"].bindings[OBJECTS] == painters
    assert state.policy.bindings.get(OBJECTS, set()) == set()


def test_role_for_buckets_stays_while_the_bucket_is_missing(google, project):
    project.settings.set("IMAGES_BUCKET", "shop-elsewhere")

    act(project)

    assert len(google.state.projects[SHOP].policy.bindings[OBJECTS]) == 2


def test_role_stays_with_an_account_that_lacks_a_secret(google, project):
    assert access.look_at_excess(project) == []
    assert may_read(google, "run_agent_step") == set(project_secrets(project.settings.all()))


def test_secret_of_a_new_provider_is_opened_before_the_functions_use_it(google, project):
    act(project)
    project.settings.set("AI_UPSTREAMS", "groq=https://api.groq.example")
    project.secrets.add("AI_UPSTREAM_GROQ_API_KEY", "gsk")

    assert [change.says for change in access.look(project)] == ["let api, run_agent_step read AI_UPSTREAM_GROQ_API_KEY"]


def test_account_of_the_operators_own_is_left_alone(google, project):
    state = google.state.projects[SHOP]
    for function in state.table("Function").values():
        function["serviceConfig"]["serviceAccountEmail"] = f"mine@{SHOP}.iam.gserviceaccount.com"

    assert (access.look(project), access.look_at_excess(project)) == ([], [])


def test_policy_that_another_operator_changed_meanwhile_is_refused(google, project):
    state = google.state.projects[SHOP]
    name = f"projects/{SHOP}/secrets/MARKS_SECRET"

    class Racing(Google):
        """Google with another operator, who writes between our reading and our writing."""

        def post(self, url, body=None, **query):
            if url.endswith("MARKS_SECRET:setIamPolicy"):
                state.policy_of(name).grant("roles/secretmanager.viewer", OTHER)
            return super().post(url, body, **query)

    session = requests.Session()
    session.headers["Authorization"] = "Bearer stand-in"
    racing = Racing(SHOP, session, google.url)
    with pytest.raises(GoogleRefused) as raised:
        act(replace(project, google=racing, secrets=SecretManager(racing)))

    assert raised.value.reason == "ABORTED"
    assert state.policy_of(name).bindings == {"roles/secretmanager.viewer": {OTHER}}
    act(project)
    assert may_read(google, "on_ledger_entry") == {"LEDGER_SIGNING_KEY", "MARKS_SECRET"}

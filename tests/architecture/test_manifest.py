"""functions.yaml, main.py and the modules say the same: what is declared exists, loads alone, and has its threads."""

import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

import main
from emulator.cloud.manifest_text import laptop_manifest
from emulator.cloud.roles import DATABASE, OBJECTS, REASONS, ROLES, SECRETS, TOPICS, TRIGGERED, USERS, USERS_READ
from emulator.cloud.staging import manifest_of, stage
from emulator.reference.functions import instance_reasons
from emulator.reference.reads import reads_of
from emulator.reference.settings import name_of
from shared.bootstrap.secrets import NEEDS, every_secret, secrets_of
from shared.kernel.settings import Settings, SettingsError, parse_settings
from shared.payments.providers import PROVIDERS
from tests.support.live import collection_of, schema_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "functions.yaml").read_text()
MANIFEST = yaml.safe_load(TEXT)
ENDPOINTS = MANIFEST["endpoints"]
PAID = {"PAYMENT_PROVIDERS": ",".join(PROVIDERS)}
"""Plain settings of a project that uses every payment provider."""
SEED = f"{'A' * 43}="
VALUES = {"LEDGER_SIGNING_KEY": f"test-1:{SEED}", "LEDGER_LOG_KEY": SEED, "MARKS_SECRET": "sixteen characters"}
TIMEOUT_SECONDS = {"httpsTrigger": 540, "eventTrigger": 540, "scheduleTrigger": 300}
VENDORS = {"openai", "stripe", "web3", "paypalrestsdk", "google.cloud.pubsub_v1", "marshmallow", "firebase_functions"}
LOAD = """
import json, os, sys
import main
function = getattr(main, os.environ["FUNCTION_TARGET"])
print(json.dumps({"threads": os.environ.get("THREADS"), "modules": sorted(sys.modules)}))
"""
INSTANCES_MAX = 50
LABEL_WORDS = 4
"""Words that are no reason yet."""
NO_MODEL = {"AI_PLATFORM_API_KEY": "erases, ends or calls for tasks, and asks no model"}
WITHHELD = {
    "api": {"METRICS_TOKEN": "bound only where METRICS_ACCESS lets scrapers in"},
    "on_user_deleted": NO_MODEL,
    "every_minute": NO_MODEL,
    "every_day": NO_MODEL,
    **{
        record.webhook: {"STRIPE_SECRET_KEY": "its mode is told by the publishable key where the secret is missing"}
        for record in PROVIDERS.values()
    },
}
"""Secrets that a function's parts would use and that the function does not get, with the reason."""
ASKS = {"generate_image", "run_agent_step"}
"""Functions that only ask about users."""
ROLES_OF_PORTS = {
    "documents": DATABASE,
    "identity": USERS,
    "objects": OBJECTS,
    "publisher": TOPICS,
    "alerts": TOPICS,
}
API_NAMES = re.compile(r"[a-z]+\.googleapis\.com")


def trigger_of(endpoint: dict) -> str:
    return next(name for name in endpoint if name.endswith("Trigger"))


def deployed(name: str) -> dict[str, str]:
    """The environment of a deployed function: its own secrets and no other."""
    secrets = {secret: VALUES.get(secret, "a secret") for secret in secrets_of(name, PAID)}
    return {"GCLOUD_PROJECT": "demo-manifest", "FUNCTION_TARGET": name, "K_SERVICE": name, **PAID, **secrets}


def start(name: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start a fresh process with one function from its staged source, as a cold start does."""
    with TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, "-c", LOAD],
            cwd=stage(name, "demo-manifest", staged=Path(folder)),
            env={**environment, "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@cache
def loaded_alone(name: str) -> dict:
    """What the process of a function has loaded."""
    answer = start(name, deployed(name))
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_a_deployed_function_without_a_secret_does_not_start():
    environment = {name: value for name, value in deployed("on_provider_event").items() if name != "MARKS_SECRET"}

    answer = start("on_provider_event", environment)

    assert answer.returncode != 0
    assert answer.stderr.rstrip().endswith("SettingsError: MARKS_SECRET is not set")


def test_the_manifest_and_the_table_name_the_same_functions():
    assert set(ENDPOINTS) == set(main.MODULES) == set(main.THREADS)


def test_no_trigger_starts_on_a_document_that_listeners_read():
    """Our own writes for listeners would start it again and again."""
    triggers = [endpoint.get("eventTrigger", {}) for endpoint in ENDPOINTS.values()]
    patterns = {each["eventFilterPathPatterns"]["document"] for each in triggers if "eventFilterPathPatterns" in each}
    started = {collection_of(pattern) for pattern in patterns}

    assert {collection for collection in started if schema_of(collection) is not None} == set()
    assert "accounts/*/entries" in started


@pytest.mark.parametrize("name", main.MODULES)
def test_a_function_is_named_alike_everywhere_and_takes_one_argument(name: str):
    assert ENDPOINTS[name]["entryPoint"] == name
    assert len(inspect.signature(getattr(main, name)).parameters) == 1


@pytest.mark.parametrize("name", main.MODULES)
def test_a_function_has_as_many_threads_as_its_concurrency(name: str):
    assert main.THREADS[name] == ENDPOINTS[name]["concurrency"]
    assert loaded_alone(name)["threads"] == str(ENDPOINTS[name]["concurrency"])


@pytest.mark.parametrize("name", main.MODULES)
def test_a_function_loads_no_other_entry_point_and_no_heavy_vendor(name: str):
    modules = set(loaded_alone(name)["modules"])

    assert modules & set(main.MODULES.values()) == {main.MODULES[name]}
    assert modules & (VENDORS - {"marshmallow"} if name == "api" else VENDORS) == set()


@pytest.mark.parametrize("name", main.MODULES)
def test_timeouts_are_named_and_events_are_retried(name: str):
    endpoint = ENDPOINTS[name]
    trigger = trigger_of(endpoint)

    assert endpoint["timeoutSeconds"] == TIMEOUT_SECONDS[trigger]
    assert endpoint["platform"] == "gcfv2"
    if trigger == "eventTrigger":
        assert endpoint[trigger]["retry"] is True


def test_a_name_that_is_no_function_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = main.no_such_function


@pytest.mark.parametrize("name", main.MODULES)
def test_a_function_names_its_own_secrets_and_no_others(name: str):
    named = [each["key"] for each in ENDPOINTS[name].get("secretEnvironmentVariables", [])]

    assert tuple(named) == secrets_of(name, PAID)


def test_webhooks_sign_nothing_and_agents_take_no_money():
    payments = {secret for record in PROVIDERS.values() for secret in (*record.secrets, *record.webhook_secrets)}

    for record in PROVIDERS.values():
        assert set(secrets_of(record.webhook, PAID)) <= set(record.webhook_secrets)
    for name in ("run_agent_step", "generate_image", "on_ledger_entry", "on_user_created"):
        assert payments.isdisjoint(secrets_of(name, PAID))


@pytest.mark.parametrize(("name", "secret"), [(name, secret) for name in NEEDS for secret in secrets_of(name, PAID)])
def test_a_deployed_function_without_one_secret_names_the_secret(name: str, secret: str):
    environment = {key: value for key, value in deployed(name).items() if key != secret}

    with pytest.raises(SettingsError, match=f"^{secret} is not set$"):
        parse_settings(environment, secrets_of(name, environment))


def test_the_manifest_asks_for_the_roles_of_all_functions_together():
    assert set(ROLES) == set(main.MODULES)
    assert MANIFEST["requiredRoles"] == sorted({role for roles in ROLES.values() for role in roles})
    assert set(REASONS) == set(MANIFEST["requiredRoles"])


@pytest.mark.parametrize("name", main.MODULES)
def test_a_function_is_given_what_its_parts_use(name: str):
    reads = reads_of(name)
    hidden = {each.name for each in fields(Settings) if not each.repr}
    read = {name_of(field) for field in reads.settings & hidden}

    assert set(secrets_of(name, PAID)) == read - WITHHELD.get(name, {}).keys()
    assert WITHHELD.get(name, {}).keys() <= read
    opened = {SECRETS, *(ROLES_OF_PORTS[port] for port in reads.ports if port in ROLES_OF_PORTS)}
    triggered = set(TRIGGERED) if "eventTrigger" in ENDPOINTS[name] else set()
    assert set(ROLES[name]) == {USERS_READ if role == USERS and name in ASKS else role for role in opened} | triggered


def test_every_required_api_has_a_reason():
    apis = {each["api"]: each["reason"] for each in MANIFEST["requiredAPIs"]}

    assert len(apis) == len(MANIFEST["requiredAPIs"])
    assert all(API_NAMES.fullmatch(api) and len(reason.split()) > 1 for api, reason in apis.items())


@pytest.mark.parametrize("name", main.MODULES)
def test_a_function_has_a_limit_in_the_region_of_the_project(name: str):
    endpoint = ENDPOINTS[name]

    assert 1 <= endpoint["maxInstances"] <= INSTANCES_MAX
    assert len(instance_reasons()[name].split()) > LABEL_WORDS
    assert endpoint["region"] == ["{{ params.REGION }}"]
    assert endpoint.get("minInstances") == ("{{ params.MIN_INSTANCES }}" if name == "api" else None)


@pytest.mark.parametrize("name", main.MODULES)
def test_a_staged_manifest_is_one_function_with_its_own_roles(name: str):
    staged = yaml.safe_load(manifest_of(name, PAID, TEXT))

    assert staged == {**MANIFEST, "requiredRoles": list(ROLES[name]), "endpoints": {name: ENDPOINTS[name]}}


def test_a_laptop_manifest_has_every_function_without_secrets_and_params():
    laptop = yaml.safe_load(laptop_manifest(TEXT))

    for name, endpoint in laptop["endpoints"].items():
        left = {key: value for key, value in ENDPOINTS[name].items() if key != "secretEnvironmentVariables"}
        params = {"region": ["us-central1"]} | ({"minInstances": 0} if "minInstances" in endpoint else {})
        assert endpoint == left | params
    assert set(laptop["endpoints"]) == set(ENDPOINTS)
    assert set(laptop) == {"specVersion", "requiredAPIs", "endpoints"}


def test_every_secret_is_a_hidden_setting():
    hidden = {name_of(each.name) for each in fields(Settings) if not each.repr}

    assert set(every_secret()) == hidden

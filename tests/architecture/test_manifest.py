"""functions.yaml, main.py and the modules say the same: what is declared exists, loads alone, and has its threads."""

import base64
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import main
from tests.support.live import collection_of, schema_of

ROOT = Path(__file__).parents[2]
ENDPOINTS = yaml.safe_load((ROOT / "functions.yaml").read_text())["endpoints"]
TIMEOUT_SECONDS = {"httpsTrigger": 540, "eventTrigger": 540, "scheduleTrigger": 300}
VENDORS = {"openai", "stripe", "web3", "paypalrestsdk", "google.cloud.pubsub_v1", "marshmallow", "firebase_functions"}
LOAD = """
import json, os, sys
import main
function = getattr(main, os.environ["FUNCTION_TARGET"])
print(json.dumps({"threads": os.environ.get("THREADS"), "modules": sorted(sys.modules)}))
"""


def trigger_of(endpoint: dict) -> str:
    return next(name for name in endpoint if name.endswith("Trigger"))


def loaded_alone(name: str) -> dict:
    """What a fresh process has after loading one function, as a cold start does."""
    key = f"test-1:{base64.b64encode(bytes(32)).decode()}"
    environment = {"FUNCTION_TARGET": name, "GCLOUD_PROJECT": "demo-manifest", "LEDGER_SIGNING_KEY": key, "PATH": ""}
    answer = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


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


def test_what_is_shipped_is_the_backend_alone():
    config = json.loads((ROOT / "firebase.json").read_text())
    shipped = {"main.py", "functions.yaml", "requirements.txt", "functions", "shared"}

    ignored = set(config["functions"][0]["ignore"])
    assert {"venv", ".git", "node_modules", "__pycache__", ".env*", "*.local", "tests", "emulator", "*.log"} <= ignored
    assert not shipped & ignored

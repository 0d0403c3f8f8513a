"""`make run` and its parts, as a person meets them: what it says, what it leaves, what it says when it cannot."""

import json
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from emulator.chains.laptop import PORTS as CHAIN_PORTS
from emulator.cloud.people import id_token
from emulator.cloud.token import ANY_KEY
from emulator.cloud.web import Web
from emulator.problems import LaptopProblem
from emulator.seed import OPERATOR, PASSWORD, USER
from emulator.suite import Suite
from emulator.tools import node
from functions.http import examples
from tests.support.emulators import TEST_SEED
from tests.support.laptops import laptop, told
from tests.support.processes import descendants, running, wait_for

ROOT = Path(__file__).parents[2]
START_SECONDS_MAX = 600
END_SECONDS_MAX = 180
SECONDS_MAX = 180
SETTINGS = {"LEDGER_SIGNING_KEY": f"test-1:{TEST_SEED}"}
Asked = tuple[str, str, str | None]
BY_USER: Sequence[Asked] = (
    ("GET", f"/chat/conversations/{examples.CONVERSATION}", None),
    ("POST", f"/chat/conversations/{examples.CONVERSATION}/messages", "chat_say"),
    ("GET", f"/images/{examples.IMAGE}/content", None),
    ("GET", f"/chat/agent-tasks/{examples.AGENT_TASK}/artifacts/result.txt", None),
    ("GET", f"/openai/responses/{examples.RESPONSE}", None),
    ("GET", f"/payments/status/{examples.PAYMENT}", None),
    ("POST", f"/credits/reservations/{examples.RESERVATION}/capture", "credits_capture"),
    ("POST", "/credits/welcome-bonus", None),
    ("DELETE", f"/api-keys/{examples.API_KEY}", None),
)
BY_OPERATOR: Sequence[Asked] = (
    ("GET", f"/admin/users/{examples.USER}/entries", None),
    ("POST", f"/admin/payments/{examples.PAYMENT}/refund", "admin_payments_refund"),
)
"""Requests made of examples of the API reference: method, path, and the operation whose body is sent."""
ADDRESSES = {"project", "api", "functions", "auth", "firestore", "pubsub", "storage", "ai", "stripe", "paypal"} | {
    *CHAIN_PORTS
}


@pytest.mark.slow
def test_it_walks_the_main_job_says_where_everything_is_and_leaves_no_process(tmp_path: Path):
    run = laptop(tmp_path)
    file = tmp_path / "endpoints.json"
    try:
        wait_for(
            lambda: file.exists() or run.poll() is not None, seconds=START_SECONDS_MAX, what=f"ready: {told(tmp_path)}"
        )
        assert "Ready." in told(tmp_path), told(tmp_path)
        known = json.loads(file.read_text())
        answered = requests.get(f"{known['api']}/v1/monitoring/health", timeout=SECONDS_MAX).status_code
        refused = refusals(known, USER, BY_USER) + refusals(known, OPERATOR, BY_OPERATOR)
        family = descendants(run.pid)
    finally:
        run.send_signal(signal.SIGTERM)
        code = run.wait(END_SECONDS_MAX)

    assert code == 0, told(tmp_path)
    assert answered == 200
    assert refused == []
    assert "an agent pays" in told(tmp_path)
    assert known.keys() - {"bitcoin"} == ADDRESSES
    assert all(value.startswith("http://") for name, value in known.items() if name != "project")
    assert known["api"] == f"{known['functions']}/api"
    assert known["functions"].endswith(f"/{known['project']}/us-central1")
    assert len(family) > 3, "the CLI, two emulators and workers"
    assert family & running().keys() == set()
    assert not file.exists()


def refusals(known: dict[str, str], person: Mapping[str, Any], asked: Sequence[Asked]) -> list[str]:
    """The requests that are not answered with success, sent by this person after a sign-in with the shown password."""
    token = id_token(Web(known["auth"]), ANY_KEY, person["email"], PASSWORD)
    refused = []
    for method, path, operation in asked:
        body = (examples.bodies_of(operation) or {})["short"] if operation else None
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.request(method, f"{known['api']}/v1{path}", json=body, headers=headers, timeout=SECONDS_MAX)
        if not answer.ok:
            refused.append(f"{method} {path} answered {answer.status_code}: {answer.text}")
    return refused


@pytest.mark.slow
def test_ctrl_c_while_it_starts_leaves_no_process(tmp_path: Path):
    run = laptop(tmp_path)
    try:
        wait_for(lambda: len(descendants(run.pid)) >= 2, seconds=SECONDS_MAX, what="the emulators begin")
        family = descendants(run.pid)
    finally:
        run.send_signal(signal.SIGINT)
        run.wait(END_SECONDS_MAX)

    assert family & running().keys() == set()
    assert "Traceback" not in told(tmp_path)


def test_a_port_that_is_taken_is_named(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        run = laptop(tmp_path, EMULATOR_PORTS=f"firestore={taken}")

        assert run.wait(SECONDS_MAX) == 1
    assert f"{taken} (firestore)" in told(tmp_path)
    assert "Traceback" not in told(tmp_path)


def test_laptop_needs_no_installed_node_on_the_path():
    version = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True, env={"PATH": ""})

    assert Path(node()).is_relative_to(Path(sys.prefix))
    assert version.stdout.startswith("v24.")


def test_functions_that_are_not_declared_right_are_told_apart_from_a_slow_start(tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("main.py", "functions", "shared", "requirements.txt", "venv", "firebase.json"):
        (source / name).symlink_to(ROOT / name)
    (source / "functions.yaml").write_text("specVersion: v1alpha1\nendpoints: {api: {platform: gcfv2, nonsense: 1}}\n")

    suite = Suite(home=tmp_path / "home", only=("functions",), source=source, settings=SETTINGS)
    with pytest.raises(LaptopProblem, match="functions do not load"), suite:
        pass

    assert not suite.is_running()


def test_a_function_that_cannot_be_imported_is_told_at_once(tmp_path: Path):
    suite = Suite(home=tmp_path, only=("functions",), settings={**SETTINGS, "LEDGER_SIGNING_KEY": "not a key"})
    with pytest.raises(LaptopProblem, match="LEDGER_SIGNING_KEY must be"), suite:
        pass

    assert not suite.is_running()


def test_the_functions_see_the_settings_and_a_schedule_can_be_fired(suite: Suite):
    health = requests.get(f"{suite.endpoints.api}/v1/monitoring/health", timeout=SECONDS_MAX)

    assert health.status_code == 200
    assert suite.fire_schedule("every_minute") == 200


def test_a_second_set_up_has_nothing_to_do():
    set_up = [sys.executable, "emulator/setup.py"]
    subprocess.run(set_up, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    began = children_cpu_seconds()
    again = subprocess.run(set_up, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)

    assert (again.returncode, again.stdout) == (0, "")
    assert children_cpu_seconds() - began < 2


def children_cpu_seconds() -> float:
    """What the processes have computed that ended and were waited for: other people's work does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_lockfile_names_no_registry():
    lock = (ROOT / "emulator" / "package-lock.json").read_text()

    assert not re.search(r'"resolved"|registry\.', lock)

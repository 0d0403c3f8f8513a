"""`make bench-gateways`: a chat completion through our API, LiteLLM's proxy and the Portkey gateway, in the same run.

Each stands in front of the same stand-in provider and is asked by the same clients, in short rounds one after the
other, so that the machine's other work falls on all. Ours runs with the whole money path on, as production starts it;
the two others keep no money here: no database, no budgets. They are installed, pinned, into emulator/.run at first.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emulator.bench import serving
from emulator.bench.tables import milliseconds, percentile
from emulator.ports import LOOPBACK, free_ports
from emulator.seed import seed_models
from emulator.suite import Suite
from emulator.tools import ROOT, npm

LITELLM, PORTKEY = "1.106.2", "1.15.2"
HOME = ROOT / "emulator" / ".run" / "gateways"
CLIENTS = (1, 16, 64)
USERS_MAX = 16
ROUNDS = 6
CALLS_PER_ROUND = 128
CALLS_ALONE = 50
WARM_UP = 300
"""Calls to each gateway before the measurement, after which a virtual machine has compiled the code."""
MODEL = "gpt-4o-mini"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 60}


@dataclass(slots=True)
class Gateway:
    """One way to the model: the address, the headers of each caller, and the measured times."""

    name: str
    url: str
    callers: Sequence[Mapping[str, str]]
    seconds: dict[int, list[float]] = field(default_factory=dict)
    elapsed: dict[int, float] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)


def main() -> None:
    """Install and start the gateways, measure, print the table, and end them."""
    _install()
    with contextlib.ExitStack() as started, tempfile.TemporaryDirectory() as home:
        upstream = started.enter_context(serving.upstream())
        suite = started.enter_context(Suite(home=Path(home), only=("auth", "firestore", "pubsub")))
        os.environ.update(suite.environment())
        seed_models(suite.project)
        gateways = [
            Gateway("bare upstream", f"{upstream}/v1/chat/completions", [_bearer("sk-laptop")]),
            started.enter_context(_ours(upstream, suite)),
            started.enter_context(_litellm(upstream, home)),
            started.enter_context(_portkey(upstream)),
        ]
        for gateway in gateways:
            _round(gateway, 1, WARM_UP)
        for gateway in gateways:
            gateway.seconds, gateway.elapsed, gateway.failed = {}, {}, {}
        for clients in CLIENTS:
            for _ in range(ROUNDS):
                for gateway in gateways:
                    _round(gateway, clients, CALLS_ALONE if clients == 1 else CALLS_PER_ROUND)
        _print(gateways)


def _print(gateways: list[Gateway]) -> None:
    print("| gateway | clients | p50 | p99 | calls a second | failed |\n| --- | --- | --- | --- | --- | --- |")
    for clients in CLIENTS:
        for gateway in gateways:
            seconds = gateway.seconds[clients] or [float("nan")]
            rate = len(gateway.seconds[clients]) / gateway.elapsed[clients]
            p50, p99 = milliseconds(statistics.median(seconds)), milliseconds(percentile(seconds, 99))
            print(
                f"| {gateway.name} | {clients} | {p50} | {p99} | {rate:,.0f} | {gateway.failed[clients]} |", flush=True
            )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\nLoad of the machine over 1, 5 and 15 minutes: {load}; {os.cpu_count()} cores.")


# The clients ---------------------------------------------------------------------------------------------------------


def _round(gateway: Gateway, clients: int, calls: int) -> None:
    """Let `clients` send `calls` in all at the same time, each client on its own open connection."""
    share = max(1, calls // clients)
    seconds = gateway.seconds.setdefault(clients, [])
    failed = gateway.failed.setdefault(clients, 0)
    lock = threading.Lock()

    def client(number: int) -> None:
        nonlocal failed
        headers = {**gateway.callers[number % len(gateway.callers)], "Content-Type": "application/json"}
        for _ in range(share):
            began = time.perf_counter()
            is_answered = _call(gateway.url, headers)
            took = time.perf_counter() - began
            with lock:
                if is_answered:
                    seconds.append(took)
                else:
                    failed += 1

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    gateway.elapsed[clients] = gateway.elapsed.get(clients, 0.0) + time.perf_counter() - began
    gateway.failed[clients] = failed


_local = threading.local()


def _call(url: str, headers: Mapping[str, str]) -> bool:
    """Return True if a whole answer came, with the usage to charge."""
    parts = urlsplit(url)
    for connection in (getattr(_local, "kept", {}).get(parts.netloc), HTTPConnection(parts.netloc, timeout=60)):
        if connection is None:
            continue
        try:
            connection.request("POST", parts.path, json.dumps(BODY), dict(headers))
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, HTTPException, ValueError):
            continue
        _local.kept = {**getattr(_local, "kept", {}), parts.netloc: connection}
        return answer.status == 200 and told["usage"]["completion_tokens"] > 0  # noqa: PLR2004  # HTTP's own number
    return False


# What is measured ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _ours(upstream: str, suite: Suite) -> Iterator[Gateway]:
    """`api` under functions-framework and its gunicorn, and users with credits who call with API keys."""
    with serving.api(upstream) as api:
        keys = [_bearer(_key(api, suite, number)) for number in range(USERS_MAX)]
        yield Gateway("ours, every call paid", f"{api}/v1/openai/chat/completions", keys)


@contextlib.contextmanager
def _litellm(upstream: str, home: str) -> Iterator[Gateway]:
    """Start LiteLLM's proxy as the documentation says: one worker, no database."""
    port = free_ports(["litellm"])["litellm"]
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "sk-laptop"}
    settings = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": "sk-bench"},
    }
    config = Path(home) / "litellm.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    environment = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [str(HOME / "litellm" / "bin" / "litellm"), "--config", str(config), "--host", LOOPBACK]
    with serving.running([*command, "--port", str(port)], environment, f"http://{LOOPBACK}:{port}/health/liveliness"):
        url = f"http://{LOOPBACK}:{port}/v1/chat/completions"
        yield Gateway(f"LiteLLM {LITELLM}", url, [_bearer("sk-bench")])


@contextlib.contextmanager
def _portkey(upstream: str) -> Iterator[Gateway]:
    """Start the Portkey gateway as the documentation says."""
    port = free_ports(["portkey"])["portkey"]
    server = HOME / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    command = ["node", str(server), "--headless", f"--port={port}"]
    with serving.running(command, {**os.environ, "NODE_ENV": "production"}, f"http://{LOOPBACK}:{port}/"):
        told = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1"}
        url = f"http://{LOOPBACK}:{port}/v1/chat/completions"
        yield Gateway(f"Portkey {PORTKEY}", url, [{**_bearer("sk-laptop"), **told}])


def _key(api: str, suite: Suite, number: int) -> str:
    """An API key of a new user who has the welcome bonus."""
    address = {"email": f"bench-{number}-{time.time_ns()}@example.com", "password": "a long password"}
    path = "/identitytoolkit.googleapis.com/v1/accounts:signUp?key=bench"
    token = _post(f"{suite.endpoints.auth}{path}", {**address, "returnSecureToken": True}, "")["idToken"]
    _post(f"{api}/v1/credits/welcome-bonus", {}, token)
    key: str = _post(f"{api}/v1/api-keys", {"name": "bench", "scopes": ["chat"]}, token)["key"]
    return key


def _post(url: str, body: Any, token: str) -> Any:
    headers = {"Content-Type": "application/json", **(_bearer(token) if token else {})}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _install() -> None:
    """Both gateways at their pinned versions, each in a folder of its own."""
    python, package = HOME / "litellm" / "bin" / "python", HOME / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    if not _is_installed(HOME / "litellm.version", LITELLM):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME / "litellm")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"litellm[proxy]=={LITELLM}"], check=True)
        (HOME / "litellm.version").write_text(LITELLM)
    if not (_is_installed(HOME / "portkey.version", PORTKEY) and package.exists()):
        (HOME / "portkey").mkdir(parents=True, exist_ok=True)
        (HOME / "portkey" / "package.json").write_text("{}")  # npm would go up to the next one otherwise
        options = ["--silent", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
        install = [*npm(), "install", *options, f"@portkey-ai/gateway@{PORTKEY}"]
        subprocess.run(install, cwd=HOME / "portkey", check=True)
        (HOME / "portkey.version").write_text(PORTKEY)


def _is_installed(stamp: Path, version: str) -> bool:
    return stamp.exists() and stamp.read_text() == version


if __name__ == "__main__":
    main()

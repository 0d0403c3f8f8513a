"""The lines under “Deploy” in the README, run as they stand in a clean clone, with the stand-in for Google behind.

The Firebase CLI alone is replaced by its recorded effects; `CLI=1` runs the CLI itself.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from emulator.cloud.google import google_of
from emulator.stand_ins.google import GoogleStandIn
from emulator.tools import ROOT
from tests.deploy.deployed import copy_source
from tests.support.deployments import MODEL_KEY, SOURCES, Memory, RecordedFirebase

PROJECT = "acme-credits"
SECONDS_MAX = 300
FILES = ("Makefile", "README.md", *SOURCES)
MAKE = 'make() { command make --assume-old=setup "$@"; }; '
"""The tools are set up: the test runs with them."""
PLACEHOLDER_CLI = """
const [only, root] = [process.argv[process.argv.indexOf("--only") + 1], process.cwd()];
fetch(process.env.RECORDED_CLI, { method: "POST", body: JSON.stringify({ only, root }) })
  .then((answer) => process.exit(answer.ok ? 0 : 1));
"""


def lines() -> list[str]:
    """The commands of the README, in their order."""
    section = (ROOT / "README.md").read_text().partition("\n## Deploy\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    return [str(line) for line in block.splitlines()]


@pytest.fixture
def google() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as server:
        project = server.add_project(PROJECT)
        project.operations.polls = 0
        project.backend = Memory(PROJECT)
        yield server
        assert server.mistakes == []


@pytest.fixture
def recorded_cli(google: GoogleStandIn) -> Iterator[str]:
    """Address at which the placeholder of the CLI tells what to deploy."""
    cli = RecordedFirebase(google_of(PROJECT, google.environment), google)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            cli.deploy(told["only"], Path(told["root"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    worker = threading.Thread(target=server.serve_forever)
    worker.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    worker.join()
    server.server_close()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clean clone that was set up."""
    copy_source(tmp_path)
    for name in FILES:
        shutil.copyfile(ROOT / name, tmp_path / name)
    for settings in tmp_path.glob(".env.*"):
        settings.unlink()
    (tmp_path / "venv").symlink_to(Path(sys.prefix))
    modules = tmp_path / "emulator" / "node_modules"
    if os.environ.get("CLI"):
        modules.symlink_to(ROOT / "emulator" / "node_modules")
    else:
        cli = modules / "firebase-tools" / "lib" / "bin" / "firebase.js"
        cli.parent.mkdir(parents=True)
        cli.write_text(PLACEHOLDER_CLI)
    return tmp_path


def test_readme_has_five_lines_to_deploy():
    assert [line.split()[:2] for line in lines()] == [
        ["gcloud", "auth"],
        ["make", "deploy"],
        ["make", "deploy"],
        ["make", "admin"],
        ["make", "doctor"],
    ]


def test_readmes_lines_lead_to_a_working_product(google, recorded_cli, clone, tmp_path_factory):
    programs = tmp_path_factory.mktemp("bin")
    (programs / "gcloud").write_text("#!/bin/sh\nexit 0\n")
    (programs / "gcloud").chmod(0o755)
    environment = {
        **os.environ,
        **google.environment,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "RECORDED_CLI": recorded_cli,
        "AI_PLATFORM_API_KEY": MODEL_KEY,
        "YES": "1",
    }

    def type_in(line: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-c", MAKE + line]
        return subprocess.run(
            command, cwd=clone, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=SECONDS_MAX, check=False,
        )  # fmt: skip

    login, first, second, admin, doctor = map(type_in, lines())

    assert login.returncode == 0
    assert f"Wrote .env.{PROJECT}" in first.stderr
    assert (second.returncode, second.stderr) == (0, "")
    assert "gpt-4o-mini answered, for 0.00042 credits" in second.stdout
    assert "ann@example.com had no login. One is made" in admin.stderr
    assert list(google.state.projects[PROJECT].table("Mail")) == ["PASSWORD_RESET ann@example.com"]
    assert "administrator_missing: No user has the role `admin`." in doctor.stdout
    assert "secret_missing" not in doctor.stdout
    assert MODEL_KEY not in second.stdout

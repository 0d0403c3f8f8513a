"""The uploaded archive of each function holds what the function runs, and nothing else."""

import hashlib
from pathlib import PurePosixPath

import pytest

from emulator import tools
from tests.deploy.table import FUNCTIONS

ALONE = {"main.py", "requirements.txt", "functions.yaml"}
PAGES = ("functions/http/payer", "functions/http/verifier")
"""Pages that are deployed: the payer's with the files that all pages share, and the check of receipts."""
DATA = {"shared/platform/paypal/authorities.pem"}
NEVER = (
    "emulator", "tests", "docs", "node_modules", "venv", "__pycache__", "static", "memory", "operating", "stand_ins",
    "command",
)  # fmt: skip
"""Folders that no archive has."""
NEVER_NAMED = (
    "functions/commands.py", "functions/dead_events.py", "shared/bootstrap/memory.py",
    "shared/ledger/verify/__main__.py",
)  # fmt: skip
BYTES_MAX = 2 << 20


def belongs(path: PurePosixPath) -> bool:
    """The rules: Python files of two packages, certificates, two pages; no commands, nothing in memory."""
    if path.parts[0] not in {"functions", "shared"} or set(path.parts) & set(NEVER) or str(path) in NEVER_NAMED:
        return False
    return path.suffix == ".py" or str(path) in DATA or any(path.is_relative_to(page) for page in PAGES)


def repository() -> dict[str, bytes]:
    """The files of the repository that an archive has beside the manifest."""
    files = [file for name in ("functions", "shared") for file in (tools.ROOT / name).rglob("*") if file.is_file()]
    named = {file.relative_to(tools.ROOT).as_posix(): file for file in files}
    chosen = {name: file for name, file in named.items() if belongs(PurePosixPath(name))}
    return {name: (tools.ROOT / name).read_bytes() for name in (*chosen, "main.py", "requirements.txt")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_archive_holds_exactly_what_the_rules_say(deployment, name):
    wanted, archive = repository(), deployment.archive(name)

    assert set(archive.namelist()) == {*wanted, *ALONE}
    for path, content in wanted.items():
        assert hashlib.sha256(archive.read(path)).digest() == hashlib.sha256(content).digest(), path


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_archive_is_small_and_tells_no_setting_and_no_secret(deployment, name):
    archive = deployment.archive(name)
    content = b"".join(archive.read(path) for path in archive.namelist())

    assert sum(each.compress_size for each in archive.infolist()) < BYTES_MAX
    for value in (*deployment.project.payloads.values(), deployment.ours.settings.get("PAYPAL_WEBHOOK_ID").encode()):
        assert value
        assert value not in content


def test_archives_differ_in_their_manifests_alone(deployment):
    archives = {name: deployment.archive(name) for name in FUNCTIONS}
    common = {name: {p: a.read(p) for p in a.namelist() if p != "functions.yaml"} for name, a in archives.items()}

    assert all(files == common["api"] for files in common.values())
    assert len({archive.read("functions.yaml") for archive in archives.values()}) == len(FUNCTIONS)

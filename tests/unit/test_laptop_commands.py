"""Commands for the running laptop see all of it: its emulators, its settings, its stand-ins."""

import errno
import json
import os
import stat
from pathlib import Path, PosixPath

import pytest

from emulator.command import environment_of
from emulator.settings import announce_settings, laptop_settings, protect_settings

PLACES = {
    "project": "demo-laptop",
    "functions": "http://127.0.0.1:5001/demo-laptop/us-central1",
    "auth": "http://127.0.0.1:9099",
    "firestore": "http://127.0.0.1:8080",
    "pubsub": "http://127.0.0.1:8085",
    "storage": "http://127.0.0.1:9023",
}


def test_a_command_gets_what_the_running_functions_have(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIPE_SECRET_KEY", "of another shell")
    (tmp_path / "endpoints.json").write_text(json.dumps({**PLACES, "api": "x", "ai": "x", "stripe": "x"}))
    announce_settings(tmp_path, {"AI_PLATFORM_BASE_URL": "http://127.0.0.1:4010", "STRIPE_SECRET_KEY": "sk_test_1"})

    environment = environment_of(tmp_path / "endpoints.json")

    told = {"AI_PLATFORM_BASE_URL": "http://127.0.0.1:4010", "STRIPE_SECRET_KEY": "sk_test_1"}
    told |= {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:8080", "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}
    told |= {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:9023", "PUBSUB_EMULATOR_HOST": "127.0.0.1:8085"}
    told |= {"GOOGLE_CLOUD_PROJECT": "demo-laptop", "PUBLIC_URL": f"{PLACES['functions']}/api"}
    assert told.items() <= environment.items()


def test_announced_settings_are_for_their_owner_only(tmp_path):
    announce_settings(tmp_path, {"A": "old"})

    file = announce_settings(tmp_path, {"A": "new"})

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"A": "new"}


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.fixture
def everybody_reads():
    """New files are for all to read, unless their maker says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("everybody_reads")
def test_settings_that_the_laptop_writes_are_for_their_owner_only(tmp_path):
    file = tmp_path / ".env"

    key = laptop_settings({}, file)["LEDGER_SIGNING_KEY"]

    assert mode(file) == 0o600
    assert laptop_settings({}, file)["LEDGER_SIGNING_KEY"] == key
    assert protect_settings(file) is None


@pytest.mark.parametrize("open_mode", [0o640, 0o604, 0o666, 0o620, 0o755])
def test_settings_that_others_may_read_are_protected_and_the_user_told(tmp_path, open_mode):
    file = tmp_path / ".env"
    file.write_text("STRIPE_SECRET_KEY=sk_test_1\n")
    file.chmod(open_mode)

    told = protect_settings(file)

    assert told == f"{file} holds keys and could be read by others; now only you can read it (mode 0600)."
    assert (mode(file), file.read_text()) == (0o600, "STRIPE_SECRET_KEY=sk_test_1\n")
    assert protect_settings(file) is None


class OfAnother(PosixPath):
    """A file whose mode only its owner may change."""

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        raise PermissionError


class OnReadOnlyDisk(PosixPath):
    """A file on a disk that is mounted to be read."""

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        raise OSError(errno.EROFS, "Read-only file system")


class WithoutModes(PosixPath):
    """A file on a disk that keeps no modes."""

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        """Do nothing."""


@pytest.mark.parametrize("kind", [OfAnother, OnReadOnlyDisk, WithoutModes])
def test_settings_that_cannot_be_protected_are_named_with_the_command(tmp_path, kind):
    file = tmp_path / ".env"
    file.write_text("A=b\n")
    file.chmod(0o644)

    told = protect_settings(kind(file))

    assert told == f"{file} holds keys and can be read by others: let its owner run `chmod 600 {file}`."


def test_settings_behind_a_link_are_made_where_the_link_leads(tmp_path):
    link, file = tmp_path / ".env", tmp_path / "elsewhere"
    link.symlink_to(file)

    laptop_settings({}, link)

    assert (link.is_symlink(), mode(file)) == (True, 0o600)


def test_settings_that_are_missing_need_no_protection(tmp_path):
    assert protect_settings(tmp_path / ".env") is None

"""Commands for the running laptop see all of it: its emulators, its settings, its stand-ins."""

import json
import stat

from emulator.command import environment_of
from emulator.settings import announce_settings

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

"""Settings of a laptop: the shell's come first, then those of emulator/.env, then the defaults for a laptop."""

import base64
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from emulator.tools import ROOT

ENV_FILE = ROOT / "emulator" / ".env"
ENV_EXAMPLE = ROOT / "emulator" / ".env.example"
SEED_BYTES = 32
DEFAULTS = {"WELCOME_BONUS_REQUIRES": "any", "DEFAULT_MODEL": "gpt-4o-mini"}


def laptop_settings(environment: Mapping[str, str] = os.environ, file: Path = ENV_FILE) -> dict[str, str]:
    """Return all settings of the functions.

    If emulator/.env is missing, write the file, with a signing key of its own.
    """
    if not file.exists():
        shutil.copyfile(ENV_EXAMPLE, file)
    settings = {**DEFAULTS, **parse(file.read_text())}
    if not (environment.get("LEDGER_SIGNING_KEY") or settings.get("LEDGER_SIGNING_KEY")):
        settings["LEDGER_SIGNING_KEY"] = _remember_new_key(file)
    return {name: environment.get(name) or value for name, value in settings.items()}


def settings_file(home: Path) -> Path:
    """Return the path of a run's settings: everything given to the functions, with addresses and keys of stand-ins."""
    return home / "settings.json"


def announce_settings(home: Path, settings: Mapping[str, str]) -> Path:
    """Write a run's settings to a file for commands, and return the path.

    The settings hold keys, so only this user may read the file.
    """
    file = settings_file(home)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        json.dump(dict(settings), written)
    return file


def parse(text: str) -> dict[str, str]:
    """Return the settings in a text of lines `NAME=value`, without comments, empty values and quotes around values."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.removeprefix("export ").partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): unquoted for name, _, value in pairs if (unquoted := value.strip().strip("\"'"))}


def _remember_new_key(file: Path) -> str:
    key = f"laptop-1:{base64.b64encode(secrets.token_bytes(SEED_BYTES)).decode()}"
    with file.open("a") as settings:
        settings.write(f"\n# Signs this laptop's ledger; made by `make run`.\nLEDGER_SIGNING_KEY={key}\n")
    return key

"""A laptop's settings: the shell's, then emulator/.env, then what fits a laptop."""

import base64
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
    """Every setting the functions get. Makes emulator/.env, with a signing key of its own, if there is none."""
    if not file.exists():
        shutil.copyfile(ENV_EXAMPLE, file)
    settings = {**DEFAULTS, **parse(file.read_text())}
    if not (environment.get("LEDGER_SIGNING_KEY") or settings.get("LEDGER_SIGNING_KEY")):
        settings["LEDGER_SIGNING_KEY"] = _remember_new_key(file)
    return {name: environment.get(name) or value for name, value in settings.items()}


def parse(text: str) -> dict[str, str]:
    """`NAME=value` lines; comments and empty values are left out, quotes around a value removed."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.removeprefix("export ").partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): unquoted for name, _, value in pairs if (unquoted := value.strip().strip("\"'"))}


def _remember_new_key(file: Path) -> str:
    key = f"laptop-1:{base64.b64encode(secrets.token_bytes(SEED_BYTES)).decode()}"
    with file.open("a") as settings:
        settings.write(f"\n# Signs this laptop's ledger; made by `make run`.\nLEDGER_SIGNING_KEY={key}\n")
    return key

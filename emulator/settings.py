"""Settings of a laptop: the shell's come first, then those of emulator/.env, then the defaults for a laptop."""

import base64
import contextlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from emulator.tools import ROOT

ENV_FILE = ROOT / "emulator" / ".env"
ENV_EXAMPLE = ROOT / "emulator" / ".env.example"
SEED_BYTES = 32
PRIVATE, OTHERS = 0o600, stat.S_IRWXG | stat.S_IRWXO
"""Mode of a file that only its owner may read and write; the bits of a mode that are for all others."""
DEFAULTS = {
    "WELCOME_BONUS_REQUIRES": "any",
    "DEFAULT_MODEL": "gpt-4o-mini",
    "LEDGER_ANCHOR_BUCKET": "laptop-anchors",
}


def laptop_settings(environment: Mapping[str, str] = os.environ, file: Path = ENV_FILE) -> dict[str, str]:
    """Return all settings of the functions.

    If emulator/.env is missing, write the file for this user only, with a signing key of its own.
    """
    if not file.exists():
        with contextlib.suppress(FileExistsError), _opened_private(file.resolve()) as written:
            written.write(ENV_EXAMPLE.read_text())
    settings = {**DEFAULTS, **parse(file.read_text())}
    if not (environment.get("LEDGER_SIGNING_KEY") or settings.get("LEDGER_SIGNING_KEY")):
        settings["LEDGER_SIGNING_KEY"] = _remember_new_key(file)
    if not (environment.get("LEDGER_LOG_KEY") or settings.get("LEDGER_LOG_KEY")):
        settings["LEDGER_LOG_KEY"] = _remember_new_log_key(file)
    return {name: environment.get(name) or value for name, value in settings.items()}


def protect_settings(file: Path = ENV_FILE) -> str | None:
    """Take the right to read the settings from all others, since the settings hold keys.

    Return a sentence for the user if others had the right, or still have it; else None.
    """
    if not file.exists() or not _is_open_to_others(file):
        return None
    with contextlib.suppress(OSError):
        file.chmod(PRIVATE)
    if _is_open_to_others(file):
        return f"{file} holds keys and can be read by others: let its owner run `chmod 600 {file}`."
    return f"{file} holds keys and could be read by others; now only you can read it (mode 0600)."


def settings_file(home: Path) -> Path:
    """Return the path of a run's settings: everything given to the functions, with addresses and keys of stand-ins."""
    return home / "settings.json"


def announce_settings(home: Path, settings: Mapping[str, str]) -> Path:
    """Write a run's settings to a file for commands, and return the path.

    The settings hold keys, so only this user may read the file.
    """
    file = settings_file(home)
    file.unlink(missing_ok=True)
    with _opened_private(file) as written:
        json.dump(dict(settings), written)
    return file


def parse(text: str) -> dict[str, str]:
    """Return the settings in a text of lines `NAME=value`, without comments, empty values and quotes around values."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.removeprefix("export ").partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): unquoted for name, _, value in pairs if (unquoted := value.strip().strip("\"'"))}


def _opened_private(file: Path) -> TextIO:
    """Create a file that only this user may read, and open the file for writing. Raises FileExistsError."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w")


def _is_open_to_others(file: Path) -> bool:
    return bool(file.stat().st_mode & OTHERS)


def _remember_new_key(file: Path) -> str:
    key = f"laptop-1:{_new_seed()}"
    with file.open("a") as settings:
        settings.write(f"\n# Signs this laptop's ledger; made by `make run`.\nLEDGER_SIGNING_KEY={key}\n")
    return key


def _remember_new_log_key(file: Path) -> str:
    key = _new_seed()
    with file.open("a") as settings:
        settings.write(f"\n# Signs the log of this laptop's ledger; made by `make run`.\nLEDGER_LOG_KEY={key}\n")
    return key


def _new_seed() -> str:
    return base64.b64encode(secrets.token_bytes(SEED_BYTES)).decode()

"""Files that list functions and payment providers for readers other than Python: manifest, CLI settings, schema."""

import json
import re

import main
from emulator.cloud.manifest_text import SECRETS_BLOCK, block_list
from emulator.cloud.staging import ROOT, STAGED
from shared.payments.providers import PROVIDER_NAMES, PROVIDERS, ProviderRecord

RUNTIME = "python312"
WEBHOOK = re.compile(r"  (\w+)_webhook:\n(?:    .*\n)+\n")
PROVIDER = re.compile(r'("provider": \{ "type": "string", "enum": )\[[^]]*\]')


def manifest() -> str:
    """Return functions.yaml with a function for each provider's notices, all of the size of the first."""
    text = (ROOT / "functions.yaml").read_text()
    [first, *_] = WEBHOOK.finditer(text)
    blocks = (_webhook(first, record) for record in PROVIDERS.values())
    return text[: first.start()] + "".join(blocks) + WEBHOOK.sub("", text[first.start() :])


def _webhook(first: re.Match[str], record: ProviderRecord) -> str:
    secrets = block_list("    secretEnvironmentVariables:", record.webhook_secrets, "key: ")
    return SECRETS_BLOCK.sub(lambda _: secrets, first[0].replace(f"{first[1]}_webhook", record.webhook))


def cli_settings() -> str:
    """Return firebase.json with a codebase for each function, whose source the deployment stages."""
    settings = json.loads((ROOT / "firebase.json").read_text())
    settings["functions"] = [
        {
            "source": (STAGED / name).relative_to(ROOT).as_posix(),
            "codebase": name,
            "runtime": RUNTIME,
            "predeploy": [f"python3 emulator/cloud/stage.py {name}"],
            "ignore": ["__pycache__", ".env*"],
        }
        for name in main.MODULES
    ]
    return json.dumps(settings, indent=2) + "\n"


def payments_schema() -> str:
    """Return the schema of `payments/{id}` for listeners, with the names of all providers."""
    text = (ROOT / "docs/live/payments.schema.json").read_text()
    return PROVIDER.sub(lambda found: f"{found[1]}{json.dumps(list(PROVIDER_NAMES))}", text)

"""Files that list the payment providers for readers other than Python: the manifest, and the schema for listeners."""

import json
import re

from emulator.reference.markdown import ROOT
from shared.payments.providers import PROVIDERS

WEBHOOK = re.compile(r"  (\w+)_webhook:\n(?:    .*\n)+\n")
PROVIDER = re.compile(r'("provider": \{ "type": "string", "enum": )\[[^]]*\]')


def manifest() -> str:
    """Return functions.yaml with a function for each provider's notices, all of the size of the first."""
    text = (ROOT / "functions.yaml").read_text()
    [first, *_] = WEBHOOK.finditer(text)
    blocks = (first[0].replace(f"{first[1]}_webhook", record.webhook) for record in PROVIDERS.values())
    return text[: first.start()] + "".join(blocks) + WEBHOOK.sub("", text[first.start() :])


def payments_schema() -> str:
    """Return the schema of `payments/{id}` for listeners, with the names of all providers."""
    text = (ROOT / "docs/live/payments.schema.json").read_text()
    return PROVIDER.sub(lambda found: f"{found[1]}{json.dumps(list(PROVIDERS))}", text)

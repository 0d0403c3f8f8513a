"""Record in `openai_fields.json` every request field that OpenAI publishes, and whether our routes let it pass.

After a new version of the `openai` package, or with OpenAI's OpenAPI document as JSON:

    venv/bin/python -m tests.data.record_openai_fields [openai.json]

The difference to what was recorded shows fields that are new. They are refused until
`shared/ai/openai/offered_fields.py` names them.
"""

import json
import sys
from pathlib import Path

from tests.support.offered import verdict
from tests.support.openai_fields import SDK, sdk_fields, spec_fields

TABLE = Path(__file__).with_name("openai_fields.json")


def main(spec: str = "") -> None:
    published = json.loads(Path(spec).read_text(encoding="utf-8")) if spec else None
    known = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    table = {}
    for endpoint in SDK:
        found = sdk_fields(endpoint)
        found |= spec_fields(published, endpoint) if published else set(known.get(endpoint, ()))
        table[endpoint] = {path: verdict(endpoint, path) for path in sorted(found)}
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])

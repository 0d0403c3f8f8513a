r"""Count the texts of `token_counts.json` anew with `o200k_base`, and write the real counts beside them.

The tests read the recorded counts, so only who changes a text needs this, in an environment of its own:

    python -m venv counting && counting/bin/pip install tiktoken litellm
    TIKTOKEN_CACHE_DIR=$(echo counting/lib/python*/site-packages/litellm/litellm_core_utils/tokenizers) \
        counting/bin/python tests/data/count_tokens.py

`litellm` brings the vocabulary with it; without TIKTOKEN_CACHE_DIR `tiktoken` downloads it.
"""

import importlib
import json
from pathlib import Path

TEXTS = Path(__file__).with_name("token_counts.json")


def main() -> None:
    encoding = importlib.import_module("tiktoken").get_encoding("o200k_base")
    texts = json.loads(TEXTS.read_text(encoding="utf-8"))
    for each in texts:
        each["tokens"] = len(encoding.encode(each["text"], disallowed_special=()))
    TEXTS.write_text(json.dumps(texts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""One word, one idea: no two classes share a name, and no value is named by a bare participle such as `Settled`.

Errors are exempt from the second rule, since an error is named for its event. So are the schemas of the HTTP API, whose
names stand in the OpenAPI document and so in generated clients.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
IRREGULAR = {
    "Begun", "Bought", "Bound", "Chosen", "Done", "Drawn", "Given", "Gone", "Heard", "Held", "Kept", "Known", "Left",
    "Lost", "Made", "Meant", "Owed", "Paid", "Said", "Seen", "Sent", "Shown", "Spent", "Sold",
    "Taken", "Told", "Written",
}  # fmt: skip
NESTED_BY_A_LIBRARY = {"Meta"}
SCHEMAS = {"Answer", "Request", "Schema"}
ERRORS = re.compile(r"Error|Exception|Rejected|Conflict|NotFound|Unavailable|Forbidden|DomainError")


def classes() -> Iterator[ast.ClassDef]:
    for top in ("shared", "functions"):
        for path in sorted((ROOT / top).rglob("*.py")):
            found = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))
            yield from (node for node in found if node.name not in NESTED_BY_A_LIBRARY)


def bases(cls: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).rpartition(".")[2] for base in cls.bases]


def is_bare_participle(cls: ast.ClassDef) -> bool:
    """Return True if the name is one word in the past form: `Settled`, `Kept`. `Speed` and `Feed` are nouns."""
    name = cls.name.strip("_")
    is_exempt = any(ERRORS.search(base) or base in SCHEMAS for base in bases(cls))
    is_past = name in IRREGULAR or re.fullmatch(r"[A-Z][a-z]*[^e]ed", name) is not None
    return is_past and not is_exempt


def test_no_class_name_is_defined_twice():
    defined = Counter(cls.name for cls in classes())

    assert [name for name, times in defined.items() if times > 1] == []


def test_no_value_is_named_by_a_bare_participle():
    assert [cls.name for cls in classes() if is_bare_participle(cls)] == []


def test_a_participle_is_told_from_a_noun():
    source = "class Settled: ...\nclass _Held: ...\nclass Gone(Rejected): ...\nclass Feed: ...\nclass TurnEnded: ..."
    found = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]

    assert [node.name for node in found if is_bare_participle(node)] == ["Settled", "_Held"]

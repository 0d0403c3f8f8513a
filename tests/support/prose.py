"""Measures of the docstrings of a package, by which the guards of plain English judge them."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.sources import python_files

WORD = re.compile(r"[A-Za-z]+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
WH_WORDS = frozenset({"what", "whatever", "whoever"})
PRONOUNS = frozenset({"it", "its"})
RIDDLES = WH_WORDS | PRONOUNS | frozenset(
    {"who", "whom", "whose", "which", "whichever", "where", "wherever", "when", "whenever", "whether", "why", "how",
     "that", "those", "they", "them", "their", "theirs", "he", "she", "we", "you", "i", "ours"}
)  # fmt: skip
"""Words that a docstring must not open with: the reader does not know yet of which thing they speak."""
AVOIDED = re.compile(
    r"\b(?:so many|anew|by now|of ours|whoever|whatever|goes on|is theirs)\b|\bthe (?:told|asked|kept|shown)\b(?! \w)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring, or a string under a field or constant, at `place`: `shared/ledger/ledger.py:12`."""

    place: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words in lower case."""
        return [word.lower() for word in WORD.findall(self.text)]

    @property
    def first_sentence_words(self) -> int:
        """The number of words up to the first full stop or empty line, as blanks part them."""
        return len(SENTENCE_END.split(self.text.strip(), maxsplit=1)[0].split())

    @property
    def is_opening_with_a_riddle(self) -> bool:
        """True if the first word is a wh-word or a pronoun."""
        return self.words[:1] != [] and self.words[0] in RIDDLES

    @property
    def avoided(self) -> list[str]:
        """The phrases that the style avoids."""
        return AVOIDED.findall(" ".join(self.text.split()))


@dataclass(frozen=True, slots=True)
class Rates:
    """Words in 1,000 words of docstrings: `wh` of what, whatever and whoever, `it` of it and its."""

    wh: float
    it: float


def docstrings_in(source: str, name: str) -> Iterator[Docstring]:
    """Yield the docstrings of a module's source, including those under fields and constants."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            match statement:
                case ast.Expr(value=ast.Constant(value=str() as text)):
                    yield Docstring(f"{name}:{statement.lineno}", text)


def docstrings(root: Path, package: str) -> list[Docstring]:
    """Return the docstrings of all modules below `root / package`."""
    files = python_files(root / package)
    return [found for file in files for found in docstrings_in(file.read_text(), str(file.relative_to(root)))]


def rates(found: Sequence[Docstring]) -> Rates:
    """Return how often riddle words stand in 1,000 words of these docstrings."""
    words = [word for each in found for word in each.words]
    each = 1_000 / max(len(words), 1)
    return Rates(wh=each * sum(word in WH_WORDS for word in words), it=each * sum(word in PRONOUNS for word in words))


def undocumented(source: str, name: str, lines_max: int) -> Iterator[str]:
    """Yield `name:line function` of each private function of more than `lines_max` lines without a docstring."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not is_private(node.name):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > lines_max and ast.get_docstring(node) is None:
            yield f"{name}:{node.lineno} {node.name}"


def is_private(name: str) -> bool:
    """Return True for `_name`, and False for `name` and `__init__`."""
    return name.startswith("_") and not name.endswith("__")

"""Table of the tests of an earlier tree and their names in this one, so that no test is lost by a rename or a move.

    python -m tests.support.renamed_tests OLD_TREE [NEW_TREE]

Each tree is a work tree in which pytest runs, such as one of `git worktree add`. The table has one line for each test
function of the old tree that has another name or file in the new tree, or fewer cases. The command fails if a test has
no successor. A successor has the same name, or is a new test whose name or source is nearly the same, or stands in
`tests/data/succeeded_tests.json`, where a person has looked.
"""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path

ALIKE_MIN = 0.5
"""Least share of the words of two tests' sources that must be the same, in order, from 0 to 1."""
NAMES_ALIKE_MIN = 0.8
"""Least share of the words of two names, if the sources are less alike."""
BY_HAND = Path(__file__).parents[1] / "data/succeeded_tests.json"
COLLECT = ("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
NODE = re.compile(r"^(?P<file>tests/\S+?\.py)::(?P<name>[\w:]+)(?:\[.*)?$")
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, order=True)
class TestId:
    """A test function: file and name, as in pytest's node id without the case."""

    __test__ = False

    file: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}::{self.name}"


@dataclass(frozen=True, slots=True)
class Successor:
    """The line of the table for one old test. `new` is None if the test is lost."""

    old: TestId
    new: TestId | None
    old_cases: int
    new_cases: int
    alike: float
    by_hand: str = ""
    """The successor as a person has named it, empty if `new` is the successor."""

    @property
    def is_lost(self) -> bool:
        """True if the test has no successor."""
        return self.new is None and not self.by_hand

    @property
    def is_unchanged(self) -> bool:
        """True if the test has the same file and name, and at least as many cases."""
        return self.old == self.new and self.new_cases >= self.old_cases

    def __str__(self) -> str:
        if self.by_hand:
            return f" by hand {self.old} → {self.by_hand}"
        if self.new is None:
            return f"LOST     {self.old} ({self.old_cases} cases)"
        cases = "" if self.new_cases >= self.old_cases else f", {self.old_cases} → {self.new_cases} cases"
        return f"{self.alike:8.0%} {self.old} → {self.new}{cases}"


@dataclass
class TestTree:
    """The tests that pytest collects in a work tree."""

    __test__ = False

    root: Path

    @cached_property
    def cases(self) -> Counter[TestId]:
        """The number of cases of each test. Raises CalledProcessError if pytest cannot collect the tests."""
        command = [sys.executable, *COLLECT]
        found = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True).stdout
        return cases_in(found)

    def words(self, test: TestId) -> list[str]:
        """Return the words of a test's source, without the test's name."""
        return self._sources.get(test, [])

    @cached_property
    def _sources(self) -> dict[TestId, list[str]]:
        return {
            TestId(file, function.name): WORD.findall(ast.unparse(function).partition("(")[2])
            for file in {test.file for test in self.cases}
            for function in _functions(self.root / file)
        }


def cases_in(listing: str) -> Counter[TestId]:
    """Return the number of cases of each test in the output of `pytest --collect-only -q`."""
    nodes = filter(None, map(NODE.match, listing.splitlines()))
    return Counter(TestId(node["file"], node["name"].rpartition("::")[2]) for node in nodes)


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def successors(old: TestTree, new: TestTree) -> list[Successor]:
    """Return the line of each old test: first by name, then, among the tests without a predecessor, by source."""
    found = {test: test for test in old.cases if test in new.cases}
    free = [test for test in new.cases if test not in found]
    for test in sorted(set(old.cases) - set(found)):
        same_name = [other for other in free if other.name == test.name]
        if len(same_name) == 1:
            found[test] = same_name[0]
            free.remove(same_name[0])
    found |= _by_source(old, new, sorted(set(old.cases) - set(found)), free)
    return [_line(old, new, test, found.get(test)) for test in sorted(old.cases)]


def _by_source(old: TestTree, new: TestTree, lost: list[TestId], free: list[TestId]) -> Mapping[TestId, TestId]:
    """Pair lost tests with new tests, the most alike first. Several lost tests may have become one."""
    pairs = ((likeness(old, a, new, b), a, b) for a in lost for b in free)
    found: dict[TestId, TestId] = {}
    for share, test, other in sorted(pairs, reverse=True):
        if share:
            found.setdefault(test, other)
    return found


def likeness(old: TestTree, test: TestId, new: TestTree, other: TestId) -> float:
    """Return how alike two tests are by source or else by name, from 0 to 1; 0 if they are too different."""
    by_source = alike(old.words(test), new.words(other))
    by_name = SequenceMatcher(None, test.name.split("_"), other.name.split("_"), autojunk=False).ratio()
    return max(by_source if by_source >= ALIKE_MIN else 0.0, by_name if by_name >= NAMES_ALIKE_MIN else 0.0)


def alike(a: list[str], b: list[str]) -> float:
    """Return the share of words that two sources have in common, in order, from 0 to 1."""
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() >= ALIKE_MIN else 0.0


def _line(old: TestTree, new: TestTree, test: TestId, successor: TestId | None) -> Successor:
    if successor is None:
        by_hand = json.loads(BY_HAND.read_text()).get(str(test), "")
        return Successor(test, None, old.cases[test], 0, 0.0, by_hand)
    share = 1.0 if test == successor else likeness(old, test, new, successor)
    return Successor(test, successor, old.cases[test], new.cases[successor], share)


def main() -> int:
    """Print the table, then a line of sums. Return 1 if a test is lost."""
    old, new = TestTree(Path(sys.argv[1])), TestTree(Path(sys.argv[2] if len(sys.argv) > 2 else "."))
    lines = successors(old, new)
    changed = [line for line in lines if not line.is_unchanged]
    lost = [line for line in lines if line.is_lost]
    sys.stdout.writelines(f"{line}\n" for line in changed)
    sys.stdout.write(
        f"{len(lines)} tests with {old.cases.total()} cases before, {len(new.cases)} with {new.cases.total()} now: "
        f"{len(lines) - len(changed)} unchanged, {len(changed) - len(lost)} renamed, moved or smaller, "
        f"{len(lost)} lost\n"
    )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

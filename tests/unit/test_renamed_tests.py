"""The table of old and new names of tests finds a successor where there is one, and no other."""

from pathlib import Path

from tests.support.renamed_tests import TestId, TestTree, successors

ADDS = "def test_{}():\n    total = add(add(1, 2), 3)\n    assert total == 6\n    assert add(total, 0) == total\n"
SPLITS = "def test_{}():\n    assert 'a b'.split() == ['a', 'b']\n"


def tree(root: Path, **files: str) -> TestTree:
    (root / "tests").mkdir(parents=True)
    for name, source in files.items():
        (root / "tests" / f"{name}.py").write_text(source)
    return TestTree(root)


def test_successors_are_found_by_name_and_by_source_else_lost(tmp_path: Path):
    old = tree(tmp_path / "old", test_a=ADDS.format("sums") + SPLITS.format("words"), test_b=ADDS.format("moves"))
    new = tree(tmp_path / "new", test_a=ADDS.format("totals"), test_c=ADDS.format("moves"))

    found = {line.old.name: (line.new, line.is_lost) for line in successors(old, new)}

    assert found == {
        "test_sums": (TestId("tests/test_a.py", "test_totals"), False),
        "test_words": (None, True),
        "test_moves": (TestId("tests/test_c.py", "test_moves"), False),
    }

"""`make bench AGAINST=REF`: the tree that is taken, the rows that are compared, and the verdict on CPU time."""

import subprocess

import pytest

from emulator.bench import own_tables
from emulator.bench.against import CPU_RATIO_MAX, cells, verdict
from emulator.bench.trees import tree_of
from emulator.problems import LaptopProblem
from emulator.tools import ROOT

IS_REPOSITORY = subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode == 0
needs_git = pytest.mark.skipif(not IS_REPOSITORY, reason="the source is not a git repository here")


@needs_git
def test_tree_of_a_commit_has_its_files_and_our_environment(tmp_path):
    with tree_of("HEAD", tmp_path / "tree") as tree:
        assert tree.name.startswith("HEAD (")
        assert (tree.root / "functions.yaml").is_file()
        assert (tree.root / "venv").resolve() == (ROOT / "venv").resolve()


@needs_git
def test_tree_of_an_unknown_reference_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(LaptopProblem, match="AGAINST must name a commit"), tree_of("no-such-branch", tmp_path):
        pass


def test_cells_show_medians_and_the_median_of_the_pairs_ratios():
    pairs = [(0.010, 0.010), (0.010, 0.012), (0.020, 0.030)]

    assert cells(pairs) == ["10.00 ms", "12.00 ms", "1.20× (1.00 to 1.50)"]


def test_verdict_names_each_figure_above_the_limit(capsys):
    assert verdict({"a": CPU_RATIO_MAX, "b": CPU_RATIO_MAX + 0.01}, ["a", "b", "c"]) == ["b"]

    told = capsys.readouterr().out
    assert "More than 10% more CPU time than before (median of 5 pairs): b." in told
    assert "Not compared: c." in told


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("| one charge, p50 | 2.45 ms | 2.59 ms (bare) | 0.95× |", ("one charge, p50", 2.45)),
        ("| one hot account, 256 callers | **3,542 op/s** | x | y |", ("one hot account, 256 callers", 3542.0)),
        ("  api                    368 ms     37 MiB", ("api", 368.0)),
        ("| what | ours | floor, same run | ratio |", None),
        ("| --- | --- | --- | --- |", None),
    ],
)
def test_row_of_a_table_is_read_with_its_first_number(line, row):
    assert own_tables.row(line) == row

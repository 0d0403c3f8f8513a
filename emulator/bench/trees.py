"""Another state of this repository beside this one, as files that can run."""

import contextlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator.problems import LaptopProblem
from emulator.tools import ROOT

SHARED = ("venv", "emulator/node_modules", "functions/http/static/vendor")
"""Results of the set-up here, which the other tree uses too."""
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A state of the source: the name in tables, and the folder of the files."""

    name: str
    root: Path


NOW = Tree(name="now", root=ROOT)


@contextlib.contextmanager
def tree_of(reference: str, scratch: Path) -> Iterator[Tree]:
    """Put the files of a commit, branch or tag into `scratch`. They use the environment of this tree.

    Raises LaptopProblem if git does not know the reference.
    """
    commit = _git("rev-parse", "--short", "--verify", f"{reference}^{{commit}}").decode().strip()
    archive = _git("archive", "--format=tar", commit)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(scratch, filter="data")
    for name in SHARED:
        if (ROOT / name).exists():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).symlink_to((ROOT / name).resolve())
    yield Tree(name=f"{reference} ({commit})", root=scratch)


def changed_requirements(tree: Tree) -> list[str]:
    """Return the requirement files in which the tree differs from this one: it runs with ours all the same."""
    return [name for name in REQUIREMENTS if _text(tree.root / name) != _text(ROOT / name)]


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _git(*arguments: str) -> bytes:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    if run.returncode != 0:
        said = run.stderr.decode(errors="replace").strip()
        raise LaptopProblem(f"AGAINST must name a commit, branch or tag of this repository: {said}")
    return run.stdout

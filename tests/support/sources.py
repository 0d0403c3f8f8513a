"""Python files of the project, without those that set-up and tools install below its folders."""

from collections.abc import Iterator
from pathlib import Path

INSTALLED = frozenset({"node_modules", ".run"})


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files below `folder`, in order."""
    for file in sorted(folder.rglob("*.py")):
        if INSTALLED.isdisjoint(file.relative_to(folder).parts):
            yield file

"""Reader of the files with plain settings: `.env`, and `.env.<project>`, which counts more."""

from pathlib import Path

from emulator.cloud.checks.project import Line, SettingsFiles
from emulator.cloud.env_files import LINE, parse, project_files
from emulator.tools import ROOT


def read_files(project: str, root: Path = ROOT) -> SettingsFiles:
    """Return the lines of the project's files. Raises CloudProblem if the project has files of two names."""
    files = project_files(root, project)
    own = [file.name for file in files if file.name != ".env"]
    return SettingsFiles(
        project_file=own[0] if own else f".env.{project}",
        is_there=bool(own),
        lines=tuple(line for file in files for line in _lines(file)),
        unreadable=tuple(place for file in files for place in _unreadable(file)),
    )


def _lines(file: Path) -> list[Line]:
    found = LINE.finditer(_text(file))
    return [Line(file=file.name, name=match[1], value=parse(match[0])[match[1]]) for match in found]


def _unreadable(file: Path) -> list[str]:
    """Return the places of lines that are neither `NAME=value` nor a comment, without their text: it may be secret."""
    rest = LINE.sub(lambda match: "\n" * match[0].count("\n"), _text(file)).split("\n")
    lines = [(number, line.strip()) for number, line in enumerate(rest, start=1)]
    return [f"line {number} of {file.name}" for number, line in lines if line and not line.startswith("#")]


def _text(file: Path) -> str:
    return file.read_text().replace("\r\n", "\n").replace("\r", "\n")

"""Settings files are read as the Firebase CLI (15.34.2) reads them; the values here are the CLI's own."""

from pathlib import Path

import pytest

from emulator.cloud.env_files import parse, project_files
from emulator.cloud.problems import CloudProblem

READ_BY_THE_CLI = [
    ("A=\nB=0\n", {"A": "", "B": "0"}),
    ("A=1 # x\nB='a # b'\n", {"A": "1", "B": "a # b"}),
    ('export A=1\nB="a\\nb"\n', {"A": "1", "B": "a\nb"}),
    ("A='multi\nline'\nB=2", {"A": "multi\nline", "B": "2"}),
    ("A=\r\nB=3\r\n", {"A": "", "B": "3"}),
    ("  A = 1\n", {"A": "1"}),
    ("A=x=y\nB=#c\n", {"A": "x=y", "B": ""}),
    ('A="unterminated\nB=2\n', {"A": '"unterminated', "B": "2"}),
    ("A='it\\'s'\n", {"A": "it\\'s"}),
    ('A="q\\"q"\n', {"A": 'q"q'}),
    ("# A=1\nB=2\n", {"B": "2"}),
    ("A='x' y\n", {"A": "'x' y"}),
    ("garbage\nA=1\nA=2\n", {"A": "2"}),
]


@pytest.mark.parametrize(("text", "settings"), READ_BY_THE_CLI)
def test_a_file_is_read_as_the_cli_reads_the_file(text: str, settings: dict[str, str]):
    assert parse(text) == settings


def test_two_files_of_one_project_are_refused(tmp_path: Path):
    for name in (".env", ".env.shop-prod", ".env.live"):
        (tmp_path / name).write_text("")
    (tmp_path / ".firebaserc").write_text('{"projects": {"live": "shop-prod"}}')

    with pytest.raises(CloudProblem, match=r"\.env\.shop-prod and \.env\.live are of the same project"):
        project_files(tmp_path, "shop-prod")
    assert [file.name for file in project_files(tmp_path, "live")] == [".env", ".env.live"]

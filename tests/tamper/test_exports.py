"""Goal: each edit of an export is found and located. Method: edits of each class at random places of honest exports."""

import os
from random import Random

import pytest

from tests.tamper.exports import exports
from tests.tamper.exports_text import text_classes

PLACES = int(os.environ.get("PLACES", "20"))
"""Random places of each class."""
CLASSES = [*text_classes()]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.name)
def test_each_edit_of_an_export_is_found_at_its_place(kind):
    random = Random(f"places of {kind.name}")
    made = 0
    for _ in range(PLACES):
        export = random.choice(exports())
        edit = kind.make(export, random)
        if edit is None:
            continue
        findings = export.findings(edit.data, kind.uid)

        assert any(each.rule in kind.rules and edit.is_at(each) for each in findings), (edit, findings[:5])
        made += 1
    assert made > PLACES // 4

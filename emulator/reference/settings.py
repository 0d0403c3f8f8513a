"""Reference page of the settings, from the fields of `Settings` and the docstrings below the fields."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from typing import get_type_hints

from emulator.reference.markdown import page, table, text_of
from shared.kernel.money import Micro, format_credits
from shared.kernel.settings import Settings, parse_settings

OPENING = """\
Settings come from the environment and are parsed once, in
[`shared/kernel/settings.py`](../../shared/kernel/settings.py). A wrong setting stops the start and is named. On a
laptop they stand in `emulator/.env` (copy [`emulator/.env.example`](../../emulator/.env.example)), in production in
`.env.<project>`, secrets in Secret Manager."""
REQUIRED = {"GCLOUD_PROJECT": "<project>", "LEDGER_SIGNING_KEY": "kid:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
LAPTOP = {"FUNCTIONS_EMULATOR": "true"}
NAMES = {"ledger_signing_keys": "LEDGER_SIGNING_KEY", "marks_secrets": "MARKS_SECRET"}
"""Names of the settings that hold several values under a singular name."""
NO_VALUE = {"welcome_bonus_requires": "`any`"}
"""Texts for an empty value, other than `none`."""


def settings_page() -> str:
    """Return the page: every setting that has a docstring. The platform sets the others."""
    cloud, laptop = parse_settings(REQUIRED), parse_settings({**REQUIRED, **LAPTOP})
    meanings = field_docstrings(Settings)
    rows = [
        (
            f"`{name_of(each.name)}`",
            _default(each.name, cloud, laptop),
            "" if each.repr else "yes",
            text_of(meanings[each.name]),
        )
        for each in fields(Settings)
        if each.name in meanings
    ]
    return page("Settings", OPENING, table(("Name", "Default", "Secret", "Meaning"), rows))


def field_docstrings(cls: type) -> Mapping[str, str]:
    """Return the string literal below each annotated field of a class, by the field's name."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef), "the source of a class"
    return {
        before.target.id: after.value.value
        for before, after in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }


def name_of(field_name: str) -> str:
    """Return the name in the environment of a field of `Settings`."""
    return NAMES.get(field_name, field_name.upper())


def _default(field_name: str, cloud: Settings, laptop: Settings) -> str:
    if name_of(field_name) in REQUIRED:
        return "required"
    usual, local = (_shown(field_name, getattr(settings, field_name)) for settings in (cloud, laptop))
    return usual if usual == local else f"{usual}; on a laptop {local}"


def _shown(field_name: str, value: object) -> str:
    if get_type_hints(Settings)[field_name] is Micro:
        return f"`{format_credits(value)}`"  # type: ignore[arg-type]  # the hint says Micro
    if isinstance(value, frozenset | tuple):
        return ", ".join(f"`{each}`" for each in sorted(value)) or NO_VALUE.get(field_name, "none")
    return f"`{value}`" if value not in {"", None} else "none"

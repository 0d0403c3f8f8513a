"""Reference page of the errors: code, HTTP status, cause, and the class that is raised."""

import importlib
import pkgutil
import re
from http import HTTPStatus

import functions
import shared
from emulator.reference.markdown import page, source_link, table, text_of
from functions.http.problems import CODE_BY_STATUS, DETAIL_BY_STATUS, status_of
from shared.kernel.errors import DomainError

OPENING = """\
Every failure is `application/problem+json` (RFC 9457) with a stable `code` and `params`; under `/v1/openai` failures
have OpenAI's form. [`functions/http/problems.py`](../../functions/http/problems.py) maps each error to a status:
first by code, then by kind. The class in the last column composes the message; to find where a code comes from,
search for the class."""
KIND_OF_DOCSTRING = re.compile(r"^(Error for|Refusal of|Refusal:) (an? )?")
UNEXPECTED = ("`internal_error`", "500", "An unexpected fault of this backend. The fault is logged and reported.")
FRAMEWORK = "functions.http.problems"


def errors_page() -> str:
    """Return the page: all error classes, and the codes of requests that the web framework refuses."""
    rows = [*map(_row, every_error()), *_framework_rows(), (*UNEXPECTED, source_link("log_unexpected", FRAMEWORK))]
    in_order = sorted(rows, key=lambda row: (row[1], row[0], row[3]))
    return page("Errors", OPENING, table(("Code", "Status", "Cause", "Class"), in_order))


def every_error() -> list[type[DomainError]]:
    """Return all error classes of `shared` and `functions`, after importing every module."""
    for package in (shared, functions):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found: set[type[DomainError]] = set()
    todo: list[type[DomainError]] = [DomainError]
    while todo:
        todo += (cls := todo.pop()).__subclasses__()
        found.add(cls)
    return [cls for cls in found if cls.__module__.startswith(("shared.", "functions."))]


def _row(cls: type[DomainError]) -> tuple[str, str, str, str]:
    cause = KIND_OF_DOCSTRING.sub("", text_of(cls.__doc__))
    link = source_link(cls.__name__, cls.__module__)
    return f"`{cls.code}`", str(status_of(cls)), cause[:1].upper() + cause[1:], link


def _framework_rows() -> list[tuple[str, str, str, str]]:
    ours = {cls.code for cls in every_error()}
    return [
        (
            f"`{code}`",
            str(status),
            DETAIL_BY_STATUS.get(status) or f"{HTTPStatus(status).description}.",
            source_link("CODE_BY_STATUS", FRAMEWORK),
        )
        for status, code in CODE_BY_STATUS.items()
        if code not in ours
    ]

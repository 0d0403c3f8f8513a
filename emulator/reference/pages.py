"""Table of the generated pages: path below docs/ and the function that returns the text."""

from collections.abc import Callable, Mapping

from emulator.reference.checks import checks_page
from emulator.reference.decisions import decisions_page
from emulator.reference.dependencies import dependencies_page
from emulator.reference.errors import errors_page
from emulator.reference.functions import functions_page
from emulator.reference.jobs import jobs_page
from emulator.reference.manifest import cli_settings, manifest, payments_schema
from emulator.reference.routes import routes_page
from emulator.reference.settings import settings_page
from emulator.reference.tools import tools_page

PAGES: Mapping[str, Callable[[], str]] = {
    "reference/routes.md": routes_page,
    "reference/errors.md": errors_page,
    "reference/settings.md": settings_page,
    "reference/dependencies.md": dependencies_page,
    "reference/functions.md": functions_page,
    "reference/jobs.md": jobs_page,
    "reference/tools.md": tools_page,
    "reference/checks.md": checks_page,
    "decisions/README.md": decisions_page,
    "live/payments.schema.json": payments_schema,
    "../functions.yaml": manifest,
    "../firebase.json": cli_settings,
}

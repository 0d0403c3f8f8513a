"""The browser that tests of the pages drive. With `CI=true` a test that wants one and is skipped has failed."""

import os
import shutil
from collections.abc import Generator

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser() -> str:
    """Return the path of a Chromium of this machine. Skip the test if there is none: set-up is not root."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser here: install one of {', '.join(BROWSERS)}, or name one in CHROMIUM")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """If CI is true, report a skipped test of the browser as failed, with the reason of the skip."""
    report = yield
    is_for_browser = "browser" in getattr(item, "fixturenames", ())
    if report.skipped and is_for_browser and os.environ.get("CI", "").lower() == "true":
        report.outcome = "failed"
        report.longrepr = f"With CI=true a test of the browser must run; it was skipped: {reason(report)}"
    return report


def reason(report: pytest.TestReport) -> str:
    """Return why a skipped test was skipped."""
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)

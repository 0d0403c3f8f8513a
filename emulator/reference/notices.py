"""NOTICES.md: the libraries that a deployment contains, with licence and copyright, from their installed metadata.

Written by `make notices` when a runtime dependency changes. The page names no versions: `requirements.txt` does.
"""

import re
from importlib.metadata import Distribution

from emulator.dependencies.licences import installed, stated_licence
from emulator.dependencies.lock import DEPLOYED, locked_packages
from emulator.reference.markdown import ROOT, table

PAGE = ROOT / "NOTICES.md"
OPENING = """\
# Notices

*Written by `make notices`, from the metadata of the installed packages.*

The functions are deployed with the libraries below. The deployment installs the Python packages, each with the full
text of its licence. On a laptop, the pages of this API serve two libraries to browsers, unchanged and with the notices
in their files. Both stand under the Apache License 2.0 (<https://www.apache.org/licenses/LICENSE-2.0>):

- Firebase JS SDK, copyright Google LLC
- Swagger UI, copyright SmartBear Software, by way of the package `flask-swagger-ui`

The domain lists in `publicsuffixlist` (Mozilla Public License 2.0) and `disposable-email-domains` (MIT) are used
unchanged.
"""
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)
COPYRIGHT = re.compile(r"^\s*(copyright (?:\(c\) |© )?.*\d{4}.*|copyright .*contributors.*)$", re.IGNORECASE)
COPYRIGHT_LINES_MAX = 2


def notices_page() -> str:
    """Return the page: all packages that the functions are deployed with, by name."""
    packages = {
        locked.name: package for locked in locked_packages(DEPLOYED) if (package := installed(locked.name)) is not None
    }
    rows = [
        (f"`{name}`", stated_licence(packages[name]), "; ".join(_copyrights(packages[name])))
        for name in sorted(packages)
    ]
    return OPENING + "\n" + table(("Package", "Licence", "Copyright"), rows) + "\n"


def _copyrights(package: Distribution) -> list[str]:
    texts = [
        file.read_binary().decode(errors="replace")
        for file in package.files or ()
        if LICENCE_FILE.search(file.name) and "-info" in str(file)
    ]
    lines = (line.strip() for text in texts for line in text.splitlines() if COPYRIGHT.match(line))
    return list(dict.fromkeys(line for line in lines if "[yyyy]" not in line and "\ufffd" not in line))[
        :COPYRIGHT_LINES_MAX
    ]


if __name__ == "__main__":
    PAGE.write_text(notices_page())

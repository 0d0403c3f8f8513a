"""Licences as installed packages state them, in words and as SPDX identifiers where the statement allows."""

from importlib.metadata import Distribution, PackageNotFoundError, distribution

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.license import License, LicenseExpression

CLASSIFIER = "License :: OSI Approved :: "
CHARACTERS_MAX = 60
SPDX = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Classifiers that mean exactly one licence. `BSD License` may be several."""


def installed(name: str) -> Distribution | None:
    """Return an installed package; None if the lock has the package for another kind of machine."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def stated_licence(package: Distribution) -> str:
    """Return the licence in the package's own words, shortened to a line."""
    metadata = package.metadata
    stated = next((metadata[name] for name in ("License-Expression", "License") if name in metadata), "")
    return stated.splitlines()[0][:CHARACTERS_MAX] if stated else ", ".join(_classifiers(package))


def spdx_licence(package: Distribution) -> License:
    """Return the licence by SPDX identifier or expression if words or classifiers name one, else by the words."""
    factory = LicenseFactory()
    words = [stated_licence(package), *(SPDX.get(each, "") for each in _classifiers(package))]
    readings = [factory.make_from_string(each) for each in words if each]
    exact = [each for each in readings if isinstance(each, LicenseExpression) or each.id]
    return (exact or readings)[0]


def _classifiers(package: Distribution) -> list[str]:
    classifiers = package.metadata.get_all("Classifier") or []
    return [each.removeprefix(CLASSIFIER) for each in classifiers if each.startswith("License ::")]

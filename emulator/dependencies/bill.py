"""`make sbom`: the bill of materials of a release, CycloneDX 1.6, from the deployed lock.

    python -m emulator.dependencies.bill [RELEASE] [FILE]

The same commit gives the same bytes. RELEASE is `v1` and the like; without it, the bill names the commit.
"""

import hashlib
import subprocess
import sys
import uuid
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.markers import Marker

from emulator.dependencies.licences import installed, spdx_licence
from emulator.dependencies.lock import DEPLOYED, Locked, locked_packages
from emulator.problems import LaptopProblem
from emulator.tools import ROOT

PRODUCT = "integrated-credit-system-api"
RUNTIME = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.12.0",
    "python_version": "3.12",
    "sys_platform": "linux",
}
"""Machine that `runtime` in `firebase.json` means: lines of the lock for others are not deployed."""
NAMESPACE = uuid.UUID("5c3f7a52-9a0e-5d0b-8f0c-6a7d2f0f3b59")
"""Namespace of the serial numbers, so that the same release and lock have the same one."""
DEFAULT_FILE = ROOT / "emulator" / ".run" / "bom.cdx.json"


def bill_of_materials(release: str, released_at: datetime, packages: Iterable[Locked] | None = None) -> str:
    """Return the bill as CycloneDX 1.6 JSON. `packages` are the locked ones, by default those of this tree.

    Raises LaptopProblem if a package is not installed as locked, or if the bill breaks the published schema.
    """
    deployed = [each for each in packages or locked_packages(DEPLOYED) if _is_deployed(each)]
    product = Component(name=PRODUCT, version=release, type=ComponentType.APPLICATION, bom_ref=PRODUCT)
    components = {each.name: _component(each) for each in deployed}
    bom = Bom(
        components=components.values(),
        metadata=BomMetaData(component=product, timestamp=released_at),
        serial_number=_serial_number(release, deployed),
    )
    for each in deployed:
        for user in each.needed_by:
            if (needing := product if user.startswith("-r ") else components.get(user)) is not None:
                bom.register_dependency(needing, [components[each.name]])
    return _validated(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")


def write_bill(file: Path, release: str, released_at: datetime) -> None:
    """Write the bill of a release into a file. Raises as `bill_of_materials` does, and then writes nothing."""
    text = bill_of_materials(release, released_at)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _is_deployed(package: Locked) -> bool:
    return not package.marker or Marker(package.marker).evaluate(RUNTIME)


def _component(package: Locked) -> Component:
    """Return a component with the hash of each published file: the build installs the file that fits the machine."""
    found = installed(package.name)
    if found is None or found.version != package.version:
        raise LaptopProblem(f"{package.name} {package.version} is locked and not installed: run `make setup`.")
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{package.name}=={package.version}",
        purl=PackageURL(type="pypi", name=package.name, version=package.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in package.hashes],
        licenses=[spdx_licence(found)],
    )


def _serial_number(release: str, packages: Iterable[Locked]) -> uuid.UUID:
    text = "\n".join(f"{each.name}=={each.version} {' '.join(each.hashes)}" for each in packages)
    return uuid.uuid5(NAMESPACE, f"{release} {hashlib.sha256(text.encode()).hexdigest()}")


def _validated(text: str) -> str:
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise LaptopProblem(f"The bill of materials breaks CycloneDX's schema: {problem}")
    return text


def committed_at() -> datetime:
    """Return the time of the commit that is checked out. Raises LaptopProblem without git."""
    return datetime.fromisoformat(_git("show", "--no-patch", "--format=%cI", "HEAD"))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise LaptopProblem("The bill of materials names a commit: run this in a clone of the repository.") from None
    return done.stdout.strip()


def main() -> int:
    release, file = [*sys.argv[1:], *("", "")[len(sys.argv) - 1 :]][:2]
    target = Path(file) if file else DEFAULT_FILE
    try:
        write_bill(target, release or _git("describe", "--tags", "--always"), committed_at())
    except LaptopProblem as problem:
        print(problem)
        return 1
    print(f"Wrote {target}: CycloneDX 1.6, valid.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

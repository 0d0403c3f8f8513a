"""The bill of materials lists exactly the deployed lock, is valid, and is the same for the same commit."""

import dataclasses
import json
from datetime import UTC, datetime

import pytest

from emulator.dependencies.bill import PRODUCT, RUNTIME, bill_of_materials, write_bill
from emulator.dependencies.lock import DEPLOYED, locked_packages
from emulator.problems import LaptopProblem
from emulator.tools import ROOT

WHEN = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def bill() -> dict:
    return json.loads(bill_of_materials("v7", WHEN))


def test_a_bill_is_cyclonedx_of_the_release(bill: dict):
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["timestamp"] == "2026-11-30T12:00:00+00:00"
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == (PRODUCT, "v7")


def test_a_bill_lists_the_deployed_packages_with_hashes_and_licences(bill: dict):
    deployed = [package for package in locked_packages(DEPLOYED) if "sys_platform" not in package.marker]

    assert [(each["name"], each["version"]) for each in bill["components"]] == sorted(
        (package.name, package.version) for package in deployed
    )
    assert {each["purl"] for each in bill["components"]} == {
        f"pkg:pypi/{package.name}@{package.version}" for package in deployed
    }
    assert [{one["content"] for one in each["hashes"] if one["alg"] == "SHA-256"} for each in bill["components"]] == [
        set(package.hashes) for package in sorted(deployed, key=lambda package: package.name)
    ]
    assert [each["name"] for each in bill["components"] if not each["licenses"]] == []


def test_a_bill_says_who_needs_whom(bill: dict):
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in bill["dependencies"]}
    versions = {each["name"]: each["bom-ref"] for each in bill["components"]}

    assert versions["flask"] in needs[PRODUCT]
    assert versions["werkzeug"] in needs[versions["flask"]]
    assert versions["werkzeug"] not in needs[PRODUCT]


def test_the_same_release_has_the_same_bill_byte_by_byte():
    few = [package for package in locked_packages(DEPLOYED) if package.name in {"flask", "stripe", "apispec"}]
    again = bill_of_materials("v7", WHEN, few)

    assert again == bill_of_materials("v7", WHEN, few)
    assert json.loads(again)["serialNumber"] != json.loads(bill_of_materials("v8", WHEN, few))["serialNumber"]


def test_a_bill_with_a_package_that_is_not_installed_is_refused():
    first, *rest = locked_packages(DEPLOYED)
    other = dataclasses.replace(first, version="0.0.0")

    with pytest.raises(LaptopProblem, match=f"{first.name} 0.0.0 is locked and not installed"):
        bill_of_materials("v7", WHEN, [other, *rest])


def test_a_bill_that_breaks_the_schema_is_refused():
    flask = next(package for package in locked_packages(DEPLOYED) if package.name == "flask")

    with pytest.raises(LaptopProblem, match="breaks CycloneDX's schema"):
        bill_of_materials("v7", WHEN, [dataclasses.replace(flask, hashes=("no digest",))])


def test_a_bill_is_written_into_a_new_folder(tmp_path):
    write_bill(tmp_path / "bills" / "v7.json", "v7", WHEN)

    assert (tmp_path / "bills" / "v7.json").read_text() == bill_of_materials("v7", WHEN)


def test_the_bills_machine_is_the_deployed_runtime():
    runtime = json.loads((ROOT / "firebase.json").read_text())["functions"][0]["runtime"]

    assert runtime == "python" + RUNTIME["python_version"].replace(".", "")

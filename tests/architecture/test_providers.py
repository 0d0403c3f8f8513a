"""Payment providers stand in one table: no other module lists their names, and each record has what derives from it."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

import main
from emulator.__main__ import PORTS
from emulator.payment_providers import stand_in_of
from functions.http.payments import Options, PayIn
from shared.bootstrap import in_memory
from shared.bootstrap.payment_adapters import adapter_of
from shared.kernel.settings import Settings
from shared.payments.adapters import PaymentAdapter
from shared.payments.providers import PROVIDERS, ProviderRecord
from shared.platform.paypal import adapter as paypal
from shared.platform.stripe import adapter as stripe
from tests.support.sources import python_files

ROOT = Path(__file__).parents[2]
STATICALLY_CHECKED: tuple[PaymentAdapter, ...] = (stripe, paypal)
OF_ONE_PROVIDER = (
    *(f"shared/platform/{name}/" for name in PROVIDERS),
    *(f"emulator/stand_ins/{name}/" for name in PROVIDERS),
    "shared/payments/providers.py",
)
EXAMPLES = {
    "emulator/bench/payments.py": "the bench measures one provider",
    "emulator/cloud/checks/payments.py": "the checks know each provider's keys, modes and endpoints",
    "functions/http/examples.py": "an example names one provider",
    "shared/platform/memory/payment_hands.py": "the twin in memory behaves in one of two manners",
    "shared/platform/memory/payments.py": "the twin in memory behaves in one of two manners",
}
RECORDS = pytest.mark.parametrize("record", PROVIDERS.values(), ids=lambda record: record.name)


def files_with_a_name_of_a_provider() -> set[str]:
    """The files that have a provider's name, or its function's, as a text of its own."""
    names = {*PROVIDERS, *(record.webhook for record in PROVIDERS.values())}
    files = [
        ROOT / "main.py",
        *(each for top in ("emulator", "functions", "shared") for each in python_files(ROOT / top)),
    ]
    return {
        str(file.relative_to(ROOT))
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    }


def test_no_module_lists_providers_beside_the_table():
    found = files_with_a_name_of_a_provider()

    assert {file for file in found if not file.startswith(OF_ONE_PROVIDER)} == set(EXAMPLES)


@RECORDS
def test_a_record_has_its_adapter_settings_and_stand_in(record: ProviderRecord):
    settings = {each.name for each in fields(Settings)}
    adapter = adapter_of(record.name)

    assert {record.app_key, record.api_base.lower()} <= settings
    assert all(callable(getattr(adapter, name)) for name in vars(PaymentAdapter) if not name.startswith("_"))
    assert stand_in_of(record.name).name == record.name
    assert record.name in PORTS


@RECORDS
def test_a_record_is_a_function_a_choice_and_a_key_for_apps(record: ProviderRecord):
    assert callable(getattr(main, record.webhook))
    assert record.app_key in Options().fields
    loaded = PayIn().load({"package_id": "small", "provider": record.name, "flow": "redirect"})
    assert loaded["provider"] == record.name


def test_a_backend_in_memory_offers_every_provider():
    services = in_memory()

    assert set(services.ports.payment_providers()) == set(PROVIDERS)
    assert list(services.payments.webhooks) == list(PROVIDERS)

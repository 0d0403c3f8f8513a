"""Staging takes the source and the settings of one project, and nothing that is not deployed."""

import re
from pathlib import Path, PurePath

import pytest
import yaml

from emulator.cloud.env_files import parse
from emulator.cloud.problems import CloudProblem
from emulator.cloud.staging import NOT_DEPLOYED, ROOT, source_files, stage
from functions.http import docs
from tests.support.keys import OWN_XPUB, summed
from tests.support.sources import python_files

PROJECT = "acme-prod"
MANIFEST = (ROOT / "functions.yaml").read_text()
FORBIDDEN_PARTS = {"tests", "emulator", "docs", "static", "venv", "node_modules", "__pycache__"}
IMPORT = re.compile(r"^ *(?:from|import) ((?:functions|shared|emulator|tests)[\w.]*)", re.MULTILINE)
NEVER_RUN_IN_A_FUNCTION = {
    ("shared/bootstrap/__init__.py", "shared.bootstrap.memory"),
}
"""Imports within functions that only tests and commands call."""
PAGE = {f"functions/http/payer/{name}" for name in (*docs.PAYER_FILES, "payer.html")} | {
    f"functions/http/verifier/{name}" for name in ("page.css", "page.html", "page.js", "receipt.js")
}
DATA = {"shared/platform/paypal/authorities.pem"}


def tree(folder: Path, settings: str = "") -> Path:
    """A small source tree, with much that must stay at home."""
    files = {
        "main.py": "",
        "requirements.txt": "flask==3.1.3\n",
        "functions.yaml": MANIFEST,
        "functions/__init__.py": "",
        "functions/commands.py": "",
        "functions/dead_events.py": "",
        "functions/operating/accounts.py": "",
        "functions/http/app.py": "",
        **dict.fromkeys(PAGE, ""),
        "functions/http/payer/notes.txt": "",
        "functions/http/static/page.html": "",
        "functions/http/static/vendor/sdk.js": "",
        "functions/notes.md": "",
        "functions/.env": "STRIPE_SECRET_KEY=x",
        "shared/platform/paypal/authorities.pem": "",
        "shared/private.pem": "",
        "shared/secrets.local": "",
        "shared/__pycache__/x.pyc": "",
        "shared/platform/memory/documents.py": "",
        "shared/bootstrap/memory.py": "",
        "tests/test_x.py": "",
        "emulator/tools.py": "",
        "service-account.json": "{}",
        ".env.other": "MARKUP_PERCENT=7\n",
        f".env.{PROJECT}": settings,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def staged(folder: Path, function: str, settings: str = "") -> Path:
    return stage(function, PROJECT, root=tree(folder / "source", settings), staged=folder / "staged")


def secrets_in(folder: Path, function: str) -> list[str]:
    endpoint = yaml.safe_load((folder / "functions.yaml").read_text())["endpoints"][function]
    return [each["key"] for each in endpoint.get("secretEnvironmentVariables", [])]


def test_staging_takes_listed_files_alone(tmp_path: Path):
    folder = staged(tmp_path, "api")

    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == {
        "main.py",
        "requirements.txt",
        "functions.yaml",
        "functions/__init__.py",
        "functions/http/app.py",
        "shared/platform/paypal/authorities.pem",
        *PAGE,
        ".env",
        f".env.{PROJECT}",
    }


def test_an_archive_holds_the_source_of_the_functions_and_nothing_else():
    python = {str(file.relative_to(ROOT)) for name in ("functions", "shared") for file in python_files(ROOT / name)}
    files = set(source_files())

    assert files == {"main.py", "requirements.txt", *DATA, *PAGE, *python} - {
        name for name in python if name.startswith(NOT_DEPLOYED)
    }
    assert [name for name in files if not FORBIDDEN_PARTS.isdisjoint(PurePath(name).parts)] == []


def test_every_file_of_the_packages_is_deployed_or_left_out_on_purpose():
    files = {str(file.relative_to(ROOT)) for name in ("functions", "shared") for file in (ROOT / name).rglob("*.*")}

    assert {
        name
        for name in files - set(source_files())
        if not name.startswith(NOT_DEPLOYED) and "__pycache__" not in name and (ROOT / name).is_file()
    } == set()


def test_no_deployed_module_imports_one_that_is_not_deployed():
    deployed = set(source_files())
    missing = {
        (name, imported)
        for name in deployed
        if name.endswith(".py")
        for imported in imports_of(ROOT / name)
        if not deployed & {f"{imported.replace('.', '/')}.py", f"{imported.replace('.', '/')}/__init__.py"}
    }

    assert missing == NEVER_RUN_IN_A_FUNCTION


def imports_of(file: Path) -> set[str]:
    """The modules of this repository that a file imports, also within its functions."""
    return set(IMPORT.findall(file.read_text()))


def test_a_second_staging_leaves_nothing_of_the_first(tmp_path: Path):
    folder = staged(tmp_path, "api")
    (folder / "functions" / "left.py").write_text("")

    assert staged(tmp_path, "api") == folder
    assert not (folder / "functions" / "left.py").exists()


def test_providers_that_are_not_used_need_no_secret(tmp_path: Path):
    assert secrets_in(staged(tmp_path, "api"), "api") == ["LEDGER_SIGNING_KEY", "MARKS_SECRET", "AI_PLATFORM_API_KEY"]
    assert secrets_in(staged(tmp_path, "stripe_webhook"), "stripe_webhook") == []


@pytest.mark.parametrize(
    ("settings", "secrets"),
    [
        ("PAYPAL_CLIENT_ID=abc", ["PAYPAL_CLIENT_SECRET"]),
        ("STRIPE_PUBLISHABLE_KEY='pk_test_1' # ours", ["STRIPE_SECRET_KEY"]),
        ("PAYMENT_PROVIDERS=stripe,paypal", ["STRIPE_SECRET_KEY", "PAYPAL_CLIENT_SECRET"]),
        ("PAYMENT_PROVIDERS=none\nPAYPAL_CLIENT_ID=abc", []),
        ("CRYPTO_NETWORKS=base,polygon\nBASE_RPC_URLS=https://mainnet.base.org", ["POLYGON_RPC_URLS"]),
    ],
)
def test_settings_name_the_payment_providers_in_use(tmp_path: Path, settings: str, secrets: list[str]):
    folder = staged(tmp_path, "every_day", settings)

    assert secrets_in(folder, "every_day") == ["LEDGER_SIGNING_KEY", "MARKS_SECRET", *secrets]


def test_every_further_model_provider_has_a_key(tmp_path: Path):
    folder = staged(tmp_path, "generate_image", "AI_UPSTREAMS=groq=https://g.example,my-own=https://o.example")

    assert secrets_in(folder, "generate_image")[3:] == ["AI_UPSTREAM_GROQ_API_KEY", "AI_UPSTREAM_MY_OWN_API_KEY"]
    assert secrets_in(staged(tmp_path, "on_ledger_entry"), "on_ledger_entry") == ["LEDGER_SIGNING_KEY", "MARKS_SECRET"]


def test_model_providers_without_a_key_need_no_secret(tmp_path: Path):
    settings = "AI_UPSTREAMS=groq=https://g.example,local=http://l.example\nAI_KEYLESS=default,local"

    assert secrets_in(staged(tmp_path, "run_agent_step", settings), "run_agent_step") == [
        "LEDGER_SIGNING_KEY",
        "MARKS_SECRET",
        "AI_UPSTREAM_GROQ_API_KEY",
    ]


def test_params_have_values_that_the_project_may_change(tmp_path: Path):
    folder = staged(tmp_path, "api", "REGION=europe-west1\nMIN_INSTANCES=")

    assert (folder / ".env").read_text() == ""
    text = (folder / f".env.{PROJECT}").read_text()
    assert text == "REGION=europe-west1\nMIN_INSTANCES=\nMIN_INSTANCES=0\n"
    assert parse(text) == {"REGION": "europe-west1", "MIN_INSTANCES": "0"}


def test_a_project_without_settings_has_the_params_alone(tmp_path: Path):
    source = tree(tmp_path / "source")
    (source / f".env.{PROJECT}").unlink()

    folder = stage("api", PROJECT, root=source, staged=tmp_path / "staged")

    assert (folder / f".env.{PROJECT}").read_text() == "REGION=us-central1\nMIN_INSTANCES=0\n"


def test_an_api_behind_a_load_balancer_admits_nothing_else(tmp_path: Path):
    folder = staged(tmp_path, "api", "CLIENT_ADDRESS_FROM=load_balancer\n")

    endpoint = yaml.safe_load((folder / "functions.yaml").read_text())["endpoints"]["api"]
    assert endpoint["ingressSettings"] == "ALLOW_INTERNAL_AND_GCLB"


def test_the_settings_of_an_alias_are_those_of_its_project(tmp_path: Path):
    source = tree(tmp_path / "source", "")
    (source / f".env.{PROJECT}").rename(source / ".env.live")
    (source / ".env.live").write_text("PAYPAL_CLIENT_ID=abc\n")
    (source / ".firebaserc").write_text('{"projects": {"live": "acme-prod", "test": "acme-test"}}')

    folder = stage("paypal_webhook", PROJECT, root=source, staged=tmp_path / "staged")

    assert secrets_in(folder, "paypal_webhook") == ["PAYPAL_CLIENT_SECRET"]
    assert (folder / f".env.{PROJECT}").read_text().startswith("PAYPAL_CLIENT_ID=abc\n")


DESCRIPTOR = summed(f"wpkh([73c5da0a/84h/0h/0h]{OWN_XPUB}/0/*)")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("STRIPE_SECRET_KEY=sk_live_1", "STRIPE_SECRET_KEY is a secret"),
        ("export LEDGER_SIGNING_KEY=k", "LEDGER_SIGNING_KEY is a secret"),
        ("AI_UPSTREAM_GROQ_API_KEY=gsk", "AI_UPSTREAM_GROQ_API_KEY is a secret"),
        ("BASE_RPC_URLS=https://mainnet.infura.io/v3/0123456789abcdef", "BASE_RPC_URLS is a secret"),
        ("BASE_RPC_URLS=ftp://base.org", "BASE_RPC_URLS must be an http"),
        ("PAYMENT_PROVIDERS=strype", "PAYMENT_PROVIDERS names strype; known are stripe, paypal, none"),
        ("AI_KEYLESS=grok", "AI_KEYLESS names grok; known are default"),
        ("REGION=Europe", "REGION in .env.acme-prod is Europe: it must be a region of Google Cloud"),
        ("MIN_INSTANCES=51", "MIN_INSTANCES in .env.acme-prod is 51: it must be a whole number"),
        ("FIRESTORE_EMULATOR_HOST=localhost:8080", "FIRESTORE_EMULATOR_HOST leads functions to an emulator"),
        ("FUNCTIONS_EMULATOR=true", "FUNCTIONS_EMULATOR leads functions to an emulator"),
        ("MARKUP_PERCENT=much", "MARKUP_PERCENT must be a whole number"),
        ("EVM_XPUB=xprv9s21", "EVM_XPUB holds a private key"),
        (f"BITCOIN_KEY={DESCRIPTOR}", "BITCOIN_KEY is a descriptor without its checksum.*in quotes"),
        (f"CRYPTO_NETWORKS=bitcoin-signet\nBITCOIN_KEY='{DESCRIPTOR}'", "BITCOIN_KEY holds a key for coins of value"),
    ],
)
def test_a_secret_in_plain_text_and_a_wrong_setting_stop_the_staging(tmp_path: Path, settings: str, problem: str):
    with pytest.raises(CloudProblem, match=problem) as raised:
        staged(tmp_path, "api", settings)

    assert "sk_live" not in str(raised.value)
    assert not (tmp_path / "staged" / "api").exists()


def test_descriptor_in_quotes_keeps_its_checksum(tmp_path: Path):
    staged(tmp_path, "api", f'CRYPTO_NETWORKS=bitcoin\nBITCOIN_KEY="{DESCRIPTOR}"')

    assert (tmp_path / "staged" / "api").exists()


def test_staging_without_a_project_or_for_no_function_says_so(tmp_path: Path):
    with pytest.raises(CloudProblem, match="No project is named"):
        stage("api", "", root=tree(tmp_path), staged=tmp_path / "staged")
    with pytest.raises(CloudProblem, match="There is no function apx"):
        stage("apx", PROJECT, root=tmp_path, staged=tmp_path / "staged")

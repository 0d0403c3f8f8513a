"""What `make deploy` refuses, or cannot do: each in a sentence that names the step, the reason and the way out."""

import base64
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.cloud import firebase
from emulator.cloud.deploy import StepFailed, deploy, plan
from emulator.cloud.dotenv import SettingsFile, line_of
from emulator.cloud.env_files import parse
from emulator.cloud.given_secrets import BadSecret, check_secret, given_secret
from emulator.cloud.keys import KeyExists, KeyLost, make_key, make_marks
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.session import NoProject, SettingsWritten, end_as_with_ctrl_c, open_project
from emulator.cloud.steps import catalogue, secrets
from emulator.cloud.terminal import Console, NobodyToAsk
from emulator.stand_ins.google import GoogleStandIn
from shared.kernel.settings import parse_settings, parse_signing_keys
from shared.users.mailbox import mark_key_of
from tests.support.deployments import MODEL_KEY, SHOP, Listener, Memory, new_project

FIRST_KEY = f"k1:{base64.b64encode(bytes(range(32))).decode()}"
OTHER_KEY = f"k2:{base64.b64encode(bytes(range(32, 64))).decode()}"
DATABASE = f"projects/{SHOP}/databases/(default)"
NO_INDEXES = json.dumps({"indexes": [], "fieldOverrides": []})


@pytest.fixture(scope="module")
def server() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as google:
        yield google


@pytest.fixture
def google(server: GoogleStandIn) -> GoogleStandIn:
    server.reset()
    return server


@pytest.fixture
def project(google: GoogleStandIn, tmp_path: Path) -> Project:
    made = new_project(google, tmp_path)
    (made.root / "firestore.indexes.json").write_text(NO_INDEXES)
    return made


def database(**fields: str) -> Callable[[GoogleStandIn, Project], None]:
    def plant(google: GoogleStandIn, project: Project) -> None:
        google.state.projects[SHOP].enable("firestore.googleapis.com")
        google.state.projects[SHOP].table("Database").add(DATABASE, {"type": "FIRESTORE_NATIVE", **fields})

    return plant


def setting(name: str, value: str) -> Callable[[GoogleStandIn, Project], None]:
    return lambda google, project: project.settings.set(name, value)


def unbilled(google: GoogleStandIn, project: Project) -> None:
    google.state.projects[SHOP].is_billed = False


def viewer(google: GoogleStandIn, project: Project) -> None:
    google.state.principals["stand-in"] = "user:viewer@example.com"
    google.state.projects[SHOP].policy.grant("roles/viewer", "user:viewer@example.com")


def taken_bucket(google: GoogleStandIn, project: Project) -> None:
    google.state.foreign_buckets.add(f"{SHOP}-images")


def silent(google: GoogleStandIn, project: Project) -> None:
    google.fail(times=50, how="status", status=503, path="pubsub.googleapis.com")


def broken_catalogue(google: GoogleStandIn, project: Project) -> None:
    file = project.root / "catalogue.yaml"
    file.write_text(file.read_text().replace('output_usd_per_mtok: "0.60"', "output_usd_per_mtok: free"))


def dumb_model(google: GoogleStandIn, project: Project) -> None:
    backend = google.state.projects[SHOP].backend
    assert isinstance(backend, Memory)
    backend.world.chat_model.scripts = [[RuntimeError("upstream is down")]]


@pytest.mark.parametrize(
    ("plant", "step", "words"),
    [
        (unbilled, "checks", "has no billing account: choose the Blaze plan in the Firebase console"),
        (setting("MARKUP_PERCENT", "lots"), "checks", "MARKUP_PERCENT"),
        (setting("STRIPE_SECRET_KEY", "sk_test_1234567890"), "checks", "plain text"),
        (setting("PAYMENT_PROVIDERS", "cash"), "checks", "cash"),
        (viewer, "APIs", "You need the role Owner"),
        (setting("FIRESTORE_LOCATION", "us-east9"), "database", "Invalid location ID: us-east9"),
        (database(locationId="eur3"), "database", "is in eur3, and a database cannot be moved: set FIRESTORE_LOCATION"),
        (database(type="DATASTORE_MODE", locationId="us-central1"), "database", "is in Datastore mode"),
        (setting("BACKUP_WEEKLY_DAYS", "99"), "checks", "`BACKUP_WEEKLY_DAYS` must be 0 to 98"),
        (setting("IMAGES_RETENTION_DAYS", "3"), "checks", "`IMAGES_RETENTION_DAYS` must be 0, or 7 to 90"),
        (taken_bucket, "bucket", "belongs to another project, or you may not see it: set IMAGES_BUCKET"),
        (silent, "topics", "503"),
        (broken_catalogue, "catalogue", "catalogue.yaml: the model gpt-4o-mini is not accepted: output_usd_per_mtok"),
    ],
)
def test_deploy_says_which_step_stopped_and_why(google, project, plant, step, words):
    plant(google, project)

    with pytest.raises(StepFailed) as stopped:
        deploy(project)

    told = str(stopped.value)
    assert told.startswith(f"The step “{step}” stopped. ")
    assert words in told
    assert told.endswith(f"run make deploy PROJECT={SHOP} again: it goes on from here.")


def test_deploy_goes_on_once_the_cause_is_removed(google, project):
    taken_bucket(google, project)
    with pytest.raises(StepFailed):
        deploy(project)
    project.settings.set("IMAGES_BUCKET", f"{SHOP}-pictures")

    deploy(replace(project, terminal=Listener()))

    assert f"{SHOP}-pictures" in google.state.buckets


def test_smoke_test_that_failed_leaves_no_login_and_is_repeated(google, project):
    dumb_model(google, project)
    with pytest.raises(StepFailed, match=r"The step “smoke test” stopped\. POST /v1/chat/conversations answered"):
        deploy(project)
    assert not google.state.projects[SHOP].table("User")

    with pytest.raises(StepFailed, match="smoke test"):
        deploy(replace(project, terminal=Listener()))


def test_login_that_cannot_be_deleted_is_named_and_deleted_by_the_next_deploy(google, project):
    google.fail(times=50, how="status", status=503, path="accounts:delete")

    with pytest.raises(StepFailed, match=r"The login deploy-operator-\w+@\S+ of this deploy could not be deleted"):
        deploy(project)

    google.faults.clear()
    deploy(replace(project, terminal=Listener()))
    assert not google.state.projects[SHOP].table("User")


def test_deploy_waits_for_functions_that_do_not_answer_yet(google, project):
    google.fail(times=3, how="status", status=503, path="/v1/monitoring/info")

    deploy(project)

    asked = [each.status for each in google.requests if each.path.endswith("/v1/monitoring/info")]
    assert asked == [503, 503, 503, 200, 200]


def test_deploy_behind_app_check_passes_and_leaves_no_debug_token(google, tmp_path):
    project = new_project(google, tmp_path, APP_CHECK="enforce")
    (tmp_path / "firestore.indexes.json").write_text(NO_INDEXES)

    deploy(project)

    assert google.asked("firebaseappcheck.v1 projects.apps.exchangeDebugToken")
    assert not google.state.projects[SHOP].table("DebugToken")
    assert google.mistakes == []


def test_plan_tells_what_would_stop_the_deploy(google, project):
    taken_bucket(google, project)
    planned = replace(project, is_plan=True, terminal=Listener())

    assert not plan(planned)

    assert any(
        line.startswith("   ! would stop: The bucket shop-prod-images belongs") for line in planned.terminal.lines
    )


def test_catalogue_that_nobody_agrees_to_is_left_as_it_is(google, project):
    quiet = replace(project, terminal=Listener(is_agreed=False))

    with pytest.raises(StepFailed, match="smoke test"):
        deploy(quiet)

    assert "     left as it is: nobody said yes (YES=1 says yes)" in quiet.terminal.lines
    assert google.state.projects[SHOP].backend.documents("models") == {}


@pytest.mark.parametrize("text", ["- a", "models: 3", "models: {a: 3}", "prices: {}", "models: [", "a: b: c"])
def test_catalogue_of_another_form_is_refused_in_a_sentence(project, text):
    (project.root / "catalogue.yaml").write_text(text)

    with pytest.raises(CloudProblem, match=r"^catalogue\.yaml"):
        catalogue.read_catalogue(project.root / "catalogue.yaml")


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AI_PLATFORM_API_KEY", ""),
        ("AI_PLATFORM_API_KEY", "changeme"),
        ("AI_PLATFORM_API_KEY", "your-api-key"),
        ("AI_PLATFORM_API_KEY", "<your key here>"),
        ("AI_PLATFORM_API_KEY", "sk-..."),
        ("AI_PLATFORM_API_KEY", "sk-proj-xxxxxxxx"),
        ("AI_PLATFORM_API_KEY", "sk-proj-1234 5678"),
        ("STRIPE_SECRET_KEY", "pk_live_4f9a1c77d2b84e0c9d"),
        ("STRIPE_WEBHOOK_SECRET", "we_4f9a1c77d2b84e0c9d"),
        ("LEDGER_SIGNING_KEY", "k1:c2hvcnQ="),
        ("BASE_RPC_URLS", "base-mainnet.g.alchemy.com/v2/4f9a1c77d2b84e0c9d"),
        ("BITCOIN_API_URLS", "https://mempool.space/api,https://mempool.space/api"),
    ],
)
def test_a_secret_that_cannot_be_right_is_refused_unseen(name, value):
    with pytest.raises(BadSecret) as refused:
        check_secret(name, value)

    assert name in str(refused.value)
    assert not value or value not in str(refused.value)


@pytest.mark.parametrize("key", ["sk_live_4f9a1c77d2b8", "rk_test_4f9a1c77d2b8", "sk_org_live_4f9a1c77d2b8"])
def test_every_kind_of_stripe_key_is_taken(key):
    check_secret("STRIPE_SECRET_KEY", key)


def test_a_secret_comes_from_the_environment_or_a_file_before_anybody_is_asked(project, tmp_path):
    (tmp_path / "key").write_text(f"{MODEL_KEY}\n")
    silent_project = replace(project, terminal=Listener(secrets={}))

    by_file = replace(silent_project, environment={"AI_PLATFORM_API_KEY_FILE": str(tmp_path / "key")})
    by_name = replace(silent_project, environment={"AI_PLATFORM_API_KEY": MODEL_KEY})

    assert given_secret(by_file, "AI_PLATFORM_API_KEY") == given_secret(by_name, "AI_PLATFORM_API_KEY") == MODEL_KEY
    with pytest.raises(CloudProblem, match="nobody is here"):
        given_secret(silent_project, "AI_PLATFORM_API_KEY")


def test_a_secret_needed_without_a_terminal_says_how_to_give_it(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())

    with pytest.raises(NobodyToAsk, match="set the variable KEY, or name a file in KEY_FILE"):
        Console({}).ask_secret("KEY", "the key")
    assert not Console({}).agrees("Write?")
    assert Console({"YES": "1"}).agrees("Write?")


# ── the signing key ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_make_key_stores_a_key_that_functions_read_and_refuses_another(google, project):
    google.state.projects[SHOP].enable("secretmanager.googleapis.com")

    make_key(project)
    make_marks(project)

    stored, marks = project.secrets.read("LEDGER_SIGNING_KEY"), project.secrets.read("MARKS_SECRET")
    (key,) = parse_signing_keys(stored or "")
    assert key.kid.startswith("k20")
    parse_settings({"GCLOUD_PROJECT": SHOP, "LEDGER_SIGNING_KEY": stored or "", "MARKS_SECRET": marks or ""})
    with pytest.raises(KeyExists, match="exists already, and was not changed"):
        make_key(project)
    assert project.secrets.newest_version("LEDGER_SIGNING_KEY") == "1"


def test_two_operators_who_make_a_key_at_once_keep_the_first(google, project, monkeypatch):
    google.state.projects[SHOP].enable("secretmanager.googleapis.com")
    make_key(project)
    first = project.secrets.read("LEDGER_SIGNING_KEY")
    with monkeypatch.context() as patch:
        patch.setattr(type(project.secrets), "newest_version", lambda *_: None)
        with pytest.raises(KeyExists):
            make_key(project)

    assert project.secrets.read("LEDGER_SIGNING_KEY") == first
    assert project.secrets.versions("LEDGER_SIGNING_KEY") == {1: "ENABLED", 2: "DESTROYED", 3: "ENABLED"}


def test_a_newest_version_that_is_disabled_stops_the_deploy(google, project):
    google.state.projects[SHOP].enable("secretmanager.googleapis.com")
    project.secrets.add("MARKS_SECRET", "a long secret of an operator")
    project.secrets.add("MARKS_SECRET", "another secret of an operator")
    secret = f"https://secretmanager.googleapis.com/v1/projects/{SHOP}/secrets/MARKS_SECRET"
    project.google.post(f"{secret}/versions/2:disable")

    with pytest.raises(CloudProblem, match="The newest version of MARKS_SECRET is disabled"):
        secrets.look(project)


@pytest.mark.parametrize(
    ("newest", "words"),
    [
        (OTHER_KEY, "lacks the key k1 of an earlier version"),
        (f"k1{OTHER_KEY[2:]}", "has another seed for it"),
        ("not a key", "is no list of keys"),
    ],
)
def test_signing_keys_that_lost_one_stop_the_deploy_unseen(google, project, newest, words):
    google.state.projects[SHOP].enable("secretmanager.googleapis.com")
    project.secrets.add("LEDGER_SIGNING_KEY", FIRST_KEY)
    project.secrets.add("LEDGER_SIGNING_KEY", newest)

    with pytest.raises(CloudProblem, match=words) as stopped:
        secrets.look(project)

    assert newest.rpartition(":")[2] not in str(stopped.value)
    project.secrets.add("LEDGER_SIGNING_KEY", f"{OTHER_KEY},{FIRST_KEY}")
    if newest == OTHER_KEY:
        assert "LEDGER_SIGNING_KEY" not in " ".join(change.says for change in secrets.look(project))


def test_signing_key_that_was_retired_and_removed_stops_no_deploy(google, project):
    google.state.projects[SHOP].enable("secretmanager.googleapis.com")
    project.secrets.add("LEDGER_SIGNING_KEY", f"{OTHER_KEY},{FIRST_KEY}")
    project.secrets.add("LEDGER_SIGNING_KEY", OTHER_KEY)
    (first,) = parse_signing_keys(FIRST_KEY)
    project.secrets.add("MARKS_SECRET", f"a-secret-of-the-marks,hex:{mark_key_of(first.seed).hex()}")

    assert "LEDGER_SIGNING_KEY" not in " ".join(change.says for change in secrets.look(project))


def test_stored_secret_that_is_no_text_is_named(google, project):
    google.state.projects[SHOP].enable("secretmanager.googleapis.com")
    project.secrets.add("MARKS_SECRET", "a secret")
    google.state.projects[SHOP].payloads[f"projects/{SHOP}/secrets/MARKS_SECRET/versions/1"] = b"\xff\xfe"

    with pytest.raises(CloudProblem, match="Version 1 of the secret MARKS_SECRET is no UTF-8 text"):
        project.secrets.read("MARKS_SECRET")


def test_firebase_cli_gets_no_secret_of_the_operators_environment(tmp_path, monkeypatch, capfd):
    script = tmp_path / "cli.py"
    script.write_text("import os; print(dict(os.environ))")
    monkeypatch.setattr(firebase, "node", lambda: sys.executable)
    monkeypatch.setattr(firebase, "FIREBASE_CLI", script)
    given = {"AI_PLATFORM_API_KEY": MODEL_KEY, "AI_UPSTREAM_GROQ_API_KEY": MODEL_KEY, "LANG": "C.UTF-8"}

    firebase.FirebaseCli(SHOP, given).deploy("functions", tmp_path)

    shown = capfd.readouterr().out
    assert "C.UTF-8" in shown
    assert MODEL_KEY not in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_end_of_the_terminal_ends_a_deploy_as_ctrl_c_does(number):
    before = signal.getsignal(number)
    try:
        end_as_with_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    finally:
        signal.signal(number, before)


def test_no_key_is_made_for_a_ledger_whose_key_is_gone(google, project):
    database(locationId="us-central1")(google, project)
    google.state.projects[SHOP].enable("secretmanager.googleapis.com")
    backend = google.state.projects[SHOP].backend
    assert isinstance(backend, Memory)
    backend.world.person(credits_=1)

    with pytest.raises(KeyLost, match="enable the last version of the secret again"):
        make_key(project)
    changes = secrets.look(project)
    assert changes[0].says.startswith("make LEDGER_SIGNING_KEY")
    with pytest.raises(KeyLost):
        changes[0].do()


# ── the settings file ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("named", ["", "Shop", "shop_1", "a", "-shop-prod", "../etc"])
def test_a_command_without_a_possible_project_is_refused(named):
    with pytest.raises(NoProject, match="write PROJECT="), open_project([named] if named else [], {}):
        pass


def test_first_command_writes_settings_for_the_operator_alone(tmp_path):
    with pytest.raises(SettingsWritten, match=r"Wrote \.env\.shop-prod"), open_project([SHOP], {}, tmp_path):
        pass

    file = tmp_path / f".env.{SHOP}"
    assert file.stat().st_mode & 0o777 == 0o600
    assert SettingsFile(SHOP, tmp_path).get("REGION") == "us-central1"
    parse_settings({**SettingsFile(SHOP, tmp_path).all(), "GCLOUD_PROJECT": SHOP}, ())


def test_plan_writes_no_settings(tmp_path):
    with pytest.raises(CloudProblem, match="without PLAN=1"), open_project([SHOP], {"PLAN": "1"}, tmp_path):
        pass

    assert list(tmp_path.iterdir()) == []


def test_setting_a_name_keeps_comments_and_other_lines(tmp_path):
    file = SettingsFile(SHOP, tmp_path)
    file.write("# Region, for good.\nREGION=us-central1\n# PAYPAL_CLIENT_ID=\nA=1\n")

    file.set("REGION", "europe-west1")
    file.set("PAYPAL_CLIENT_ID", "abc")
    file.set("NEW", "x y")

    assert file.path.read_text() == ('# Region, for good.\nREGION=europe-west1\nPAYPAL_CLIENT_ID=abc\nA=1\nNEW="x y"\n')


@pytest.mark.parametrize(
    "value", ["", "a", "a b", "a#b", 'say "hi"', "it's", "back\\slash", "two\nlines", "tab\there", "é"]
)
def test_a_written_setting_is_read_as_it_was(value):
    assert parse(line_of("NAME", value))["NAME"] == value

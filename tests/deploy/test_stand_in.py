"""The stand-in for Google's APIs: published shapes only, and Google's refusals."""

import base64
from collections.abc import Iterator

import pytest

from emulator.stand_ins.google import GoogleStandIn
from tests.deploy.asking import Client

SECRETS = "secretmanager.googleapis.com/v1/projects/shop"


@pytest.fixture(scope="module")
def server() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as google:
        yield google


@pytest.fixture
def google(server: GoogleStandIn) -> Iterator[GoogleStandIn]:
    server.reset()
    server.add_project("shop")
    yield server
    assert server.mistakes == []


@pytest.fixture
def ask(google: GoogleStandIn) -> Client:
    return Client(google)


def test_an_api_that_is_off_refuses_every_call(ask):
    status, error = ask("GET", f"{SECRETS}/secrets")

    assert (status, error["status"]) == (403, "PERMISSION_DENIED")
    assert error["details"][0]["reason"] == "SERVICE_DISABLED"
    assert error["message"].startswith("Secret Manager API has not been used in project")


def test_an_enabled_api_is_off_for_some_calls_more(ask):
    host = "serviceusage.googleapis.com"
    _, operation = ask("POST", f"{host}/v1/projects/shop/services/secretmanager.googleapis.com:enable", {})
    assert not operation.get("done")
    done = ask.wait(host, "v1", operation)

    answers = [ask("GET", f"{SECRETS}/secrets")[0] for _ in range(3)]

    assert done["response"]["service"]["state"] == "ENABLED"
    assert answers == [403, 403, 200]


def test_a_secret_without_a_version_is_not_read(ask, google):
    google.state.projects["shop"].enable("secretmanager.googleapis.com")
    created, secret = ask("POST", f"{SECRETS}/secrets?secretId=KEY", {"replication": {"automatic": {}}})
    empty, error = ask("GET", f"{SECRETS}/secrets/KEY/versions/latest:access")
    ask("POST", f"{SECRETS}/secrets/KEY:addVersion", {"payload": {"data": base64.b64encode(b"s3cret").decode()}})
    read, version = ask("GET", f"{SECRETS}/secrets/KEY/versions/latest:access")
    again, _ = ask("POST", f"{SECRETS}/secrets?secretId=KEY", {"replication": {"automatic": {}}})

    number = google.state.projects["shop"].number
    assert (created, empty, read, again) == (200, 404, 200, 409)
    assert secret["name"] == f"projects/{number}/secrets/KEY"
    assert error["message"] == f"Secret [projects/{number}/secrets/KEY] not found or has no versions."
    assert base64.b64decode(version["payload"]["data"]) == b"s3cret"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"labells": {}}, 'Unknown name "labells": Cannot find field.'),
        ({"labels": {"team": 1}}, "Invalid value at 'labels.team' (TYPE_STRING), 1"),
        ({"messageRetentionDuration": "soon"}, "Invalid value at 'message_retention_duration'"),
    ],
)
def test_a_field_that_google_does_not_publish_is_refused(ask, body, words):
    status, error = ask("PUT", "pubsub.googleapis.com/v1/projects/shop/topics/orders", body)

    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert words in error["message"]


def test_a_policy_changed_by_another_is_not_overwritten(ask, google):
    address = "cloudresourcemanager.googleapis.com/v1/projects/shop"
    _, policy = ask("POST", f"{address}:getIamPolicy")
    google.state.projects["shop"].policy.grant("roles/viewer", "user:colleague@example.com")
    late, error = ask("POST", f"{address}:setIamPolicy", {"policy": policy})
    _, fresh = ask("POST", f"{address}:getIamPolicy")
    again, _ = ask("POST", f"{address}:setIamPolicy", {"policy": fresh})

    assert (late, error["status"], again) == (409, "ABORTED", 200)
    assert "concurrent policy changes" in error["message"]


def test_a_policy_names_only_accounts_and_roles_that_exist(ask):
    address = "cloudresourcemanager.googleapis.com/v1/projects/shop:setIamPolicy"

    def grant(role: str, member: str) -> str:
        return ask("POST", address, {"policy": {"bindings": [{"role": role, "members": [member]}]}})[1]["message"]

    stranger = "serviceAccount:runner@shop.iam.gserviceaccount.com"
    assert grant("roles/viewer", stranger) == "Service account runner@shop.iam.gserviceaccount.com does not exist."
    assert grant("roles/wizard", "user:a@example.com") == "Role roles/wizard is not supported for this resource."


def test_a_caller_without_the_role_is_refused(ask, google):
    google.state.principals["reader"] = "user:reader@example.com"
    google.state.projects["shop"].policy.grant("roles/viewer", "user:reader@example.com")
    ask.token = "reader"

    assert ask("GET", "pubsub.googleapis.com/v1/projects/shop/topics")[0] == 200
    status, error = ask("PUT", "pubsub.googleapis.com/v1/projects/shop/topics/orders", {})
    assert (status, error["details"][0]["reason"]) == (403, "IAM_PERMISSION_DENIED")


def test_a_database_and_its_indexes_are_ready_only_after_some_polls(ask, google):
    host = "firestore.googleapis.com"
    google.state.projects["shop"].enable(host)
    google.state.projects["shop"].database_polls = 2
    databases = f"{host}/v1/projects/shop/databases"
    body = {"locationId": "eur3", "type": "FIRESTORE_NATIVE", "deleteProtectionState": "DELETE_PROTECTION_ENABLED"}
    _, making = ask("POST", f"{databases}?databaseId=(default)", body)
    assert ask("GET", f"{databases}/(default)")[0] == 404
    ask.wait(host, "v1", making)
    fields = [{"fieldPath": "uid", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}]
    group = f"{databases}/(default)/collectionGroups/tasks/indexes"
    _, building = ask("POST", group, {"queryScope": "COLLECTION", "fields": fields})
    before = ask("GET", group)[1]["indexes"][0]["state"]
    ask.wait(host, "v1", building)

    assert (before, ask("GET", group)[1]["indexes"][0]["state"]) == ("CREATING", "READY")
    assert ask("POST", group, {"queryScope": "COLLECTION", "fields": fields})[0] == 409
    assert ask("DELETE", f"{databases}/(default)")[1]["status"] == "FAILED_PRECONDITION"


def test_a_bucket_keeps_its_protections_and_a_taken_name_is_refused(ask, google):
    buckets = "storage.googleapis.com/storage/v1/b"
    google.state.foreign_buckets.add("pictures")
    access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    body = {"location": "europe-west1", "iamConfiguration": access, "retentionPolicy": {"retentionPeriod": "86400"}}
    taken, error = ask("POST", f"{buckets}?project=shop", {"name": "pictures", **body})
    made, bucket = ask("POST", f"{buckets}?project=shop", {"name": "shop-pictures", **body})
    public = {"bindings": [{"role": "roles/storage.objectViewer", "members": ["allUsers"]}]}

    assert (taken, made) == (409, 200)
    assert error["message"].startswith("The requested bucket name is not available.")
    assert bucket["iamConfiguration"] == access
    assert bucket["retentionPolicy"]["retentionPeriod"] == "86400"
    assert "public access prevention" in ask("PUT", f"{buckets}/shop-pictures/iam", public)[1]["message"]


def test_a_long_list_comes_in_pages(ask):
    for number in range(60):
        ask("PUT", f"pubsub.googleapis.com/v1/projects/shop/topics/topic-{number:02d}", {})

    _, first = ask("GET", "pubsub.googleapis.com/v1/projects/shop/topics")
    _, second = ask("GET", f"pubsub.googleapis.com/v1/projects/shop/topics?pageToken={first['nextPageToken']}")

    assert (len(first["topics"]), len(second["topics"])) == (50, 10)
    assert "nextPageToken" not in second


def test_a_bad_minute_is_ordered_by_script(ask, google):
    google.fail(status=503, times=2, path="/topics")

    answers = [ask("PUT", "pubsub.googleapis.com/v1/projects/shop/topics/orders", {})[0] for _ in range(3)]

    assert answers == [503, 503, 200]

"""Image jobs by their real trigger: a request, a message, a function of its own, a bucket; and what becomes of it when
the message comes twice or never, or the function is killed while it paints.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from emulator.seed import seed_models
from emulator.suite import Suite
from emulator.upstream import Upstream
from shared.ai.images.documents import job_path_of, path_of
from shared.ai.images.task_store import ImageTasks
from shared.ai.images.tasks import ImageTask
from shared.kernel.clock import to_datetime
from shared.kernel.documents import Patch, Query, Where
from shared.kernel.events import TopicMessage
from shared.ledger.ledger import Ledger
from shared.platform.firestore.documents import FirestoreDocuments, connect
from shared.platform.pubsub.publisher import PubSubPublisher
from shared.platform.storage.objects import CloudObjects
from tests.support.live import check_live
from tests.support.processes import wait_for
from tests.support.served import SECONDS_MAX, Person, kill, ledger_of


@pytest.fixture
def ann(suite: Suite) -> Person:
    seed_models(suite.project)
    return Person(suite)


@pytest.fixture
def documents(suite: Suite) -> FirestoreDocuments:
    return connect(suite.project)


@pytest.fixture
def ledger(suite: Suite, documents: FirestoreDocuments) -> Ledger:
    return ledger_of(suite, documents)


def ask(person: Person, prompt: str, **fields) -> str:
    asked = person.call("POST", "/v1/images/generate", json={"prompt": prompt, **fields})
    assert asked.status_code == 202, asked.text
    return str(asked.json()["task_id"])


def finished(documents: FirestoreDocuments, person: Person, task_id: str) -> ImageTask:
    tasks = ImageTasks(documents)
    wait_for(lambda: not tasks.get(person.uid, task_id).is_open, seconds=SECONDS_MAX, what="the task is finished")
    shown = documents.get(path_of(task_id))
    assert shown is not None
    check_live("image_tasks", shown.data)
    return tasks.get(person.uid, task_id)


def calls_for(upstream: Upstream, prompt: str) -> int:
    return sum(seen["body"].get("prompt") == prompt for seen in upstream.requests)


def test_live_documents_of_an_image_task_are_validated_on_firestore(suite_live, ann, documents):
    task = finished(documents, ann, ask(ann, "A hare"))

    assert {f"accounts/{ann.uid}", path_of(task.id)} <= set(suite_live.check_new())


def test_an_image_is_made_behind_the_request_and_shown(suite, suite_upstream, ann, documents, ledger):
    task = finished(documents, ann, ask(ann, "A fox", n=2, size="1024x1536"))

    told = ann.call("GET", f"/v1/images/generate/{task.id}").json()
    assert (told["status"], told["failures"], told["cost"]) == ("done", [], "12.6")
    image = told["images"][0]
    assert (image["width"], image["height"], image["content_type"]) == (1024, 1536, "image/png")
    whole = ann.call("GET", f"/v1/images/{image['id']}/content")
    part = ann.call("GET", f"/v1/images/{image['id']}/content", headers={"Range": "bytes=1-3"})
    linked = requests.get(f"{suite.endpoints.api}{image['link']}", timeout=SECONDS_MAX)
    assert whole.content.startswith(b"\x89PNG")
    assert whole.headers["ETag"] == f'"{hashlib.sha256(whole.content).hexdigest()[:32]}"'
    assert (part.status_code, part.content) == (206, b"PNG")
    assert (linked.status_code, linked.content) == (200, whole.content)
    assert calls_for(suite_upstream, "A fox") == 2
    assert (ledger.balance(ann.uid).held, ledger.verify(ann.uid)) == (0, [])


def test_of_twenty_calls_on_a_budget_for_one_exactly_one_paints(suite_upstream, ann, documents, ledger):
    assert ann.call("POST", "/v1/credits/reserve", json={"amount": "995"}).status_code == 201
    body = {"prompt": "A lone wolf"}

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ann.call("POST", "/v1/images/generate", json=body), range(20)))

    begun = [answer for answer in answers if answer.status_code == 202]
    refused = [(answer.status_code, answer.json()["code"]) for answer in answers if answer.status_code != 202]
    assert (len(begun), refused) == (1, [(402, "insufficient_credits")] * 19)
    assert len(finished(documents, ann, begun[0].json()["task_id"]).images) == 1
    assert calls_for(suite_upstream, "A lone wolf") == 1
    assert ledger.verify(ann.uid) == []


def test_the_bytes_are_in_the_bucket_and_gone_with_the_image(suite, ann, documents):
    task = finished(documents, ann, ask(ann, "A hare"))
    bucket = CloudObjects(suite.project, f"{suite.project}-images")
    name = f"images/{ann.uid}/{task.images[0]}"

    kept = bucket.names(f"images/{ann.uid}/")
    deleted = ann.call("DELETE", f"/v1/images/{task.images[0]}").status_code

    assert kept == [name]
    assert (deleted, bucket.names(f"images/{ann.uid}/")) == (204, [])
    bucket.close()


def test_a_failed_image_costs_nothing_and_the_others_what_they_cost(suite_upstream, ann, documents, ledger):
    suite_upstream.script(contains="A boar", times=1)
    suite_upstream.script(contains="A boar", error={"status": 503, "message": "busy"})
    before = ledger.balance(ann.uid).available

    task = finished(documents, ann, ask(ann, "A boar", n=3))

    assert [(failure.index, failure.code) for failure in task.failures] == [(1, "upstream_unavailable")]
    assert len(task.images) == 2
    balance = ledger.balance(ann.uid)
    assert (before - balance.available, balance.held) == (2 * task.price, 0)


def test_a_message_that_comes_again_and_again_has_no_effect(suite, suite_upstream, ann, documents, ledger):
    suite_upstream.script(contains="An owl", think_ms=500, times=0)
    task_id = ask(ann, "An owl", n=2)
    publisher = PubSubPublisher(suite.project)

    publisher.publish([TopicMessage(topic="image-jobs", data={"task_id": task_id})] * 4)
    task = finished(documents, ann, task_id)
    publisher.publish([TopicMessage(topic="image-jobs", data={"task_id": task_id})] * 2)

    assert calls_for(suite_upstream, "An owl") == 2
    charges = ledger.history(ann.uid, before=None, limit=9, kinds=frozenset({"charge"})).items
    assert [-entry.amount for entry in charges] == [2 * task.price]
    publisher.close()


def test_a_worker_that_is_killed_while_it_paints_is_replaced(suite, suite_upstream, ann, documents, ledger):
    suite_upstream.script(contains="A moth", times=1)
    suite_upstream.script(contains="A moth", delay_ms=120_000)
    task_id = ask(ann, "A moth", n=2)
    wait_for(lambda: calls_for(suite_upstream, "A moth") == 2, seconds=SECONDS_MAX, what="the second is being painted")

    kill(suite, "generate_image")
    later(documents, task_id)
    assert suite.fire_schedule("every_minute") == 200
    task = finished(documents, ann, task_id)

    assert (len(task.images), task.failures) == (2, ())
    assert calls_for(suite_upstream, "A moth") == 3
    charges = ledger.history(ann.uid, before=None, limit=9, kinds=frozenset({"charge"})).items
    assert [-entry.amount for entry in charges] == [2 * task.price]
    assert (ledger.balance(ann.uid).held, ledger.verify(ann.uid)) == (0, [])


def test_a_message_that_names_no_task_is_a_dead_letter(suite, documents):
    publisher = PubSubPublisher(suite.project)
    publisher.publish([TopicMessage(topic="image-jobs", data={"task": "none"})])
    query = Query(collection="dead_events", where=(Where("function", "==", "generate_image"),), limit=5)

    wait_for(lambda: documents.query(query) != [], seconds=SECONDS_MAX, what="the message is buried")

    (buried,) = documents.query(query)
    assert (buried.data["code"], buried.data["type"]) == (
        "malformed",
        "google.cloud.pubsub.topic.v1.messagePublished",
    )
    publisher.close()


def test_who_leaves_takes_images_and_bytes_along(suite, ann, documents):
    finished(documents, ann, ask(ann, "A swan"))
    bucket = CloudObjects(suite.project, f"{suite.project}-images")

    assert ann.call("DELETE", "/v1/me").status_code == 204

    owned = [
        Query(collection=name, where=(Where("uid", "==", ann.uid),), limit=5)
        for name in ("images", "image_tasks", "image_jobs")
    ]
    assert [documents.query(query) for query in owned] == [[], [], []]
    assert bucket.names(f"images/{ann.uid}/") == []
    bucket.close()


def later(documents: FirestoreDocuments, task_id: str) -> None:
    """As if its lease had ended by now."""
    known = documents.get(job_path_of(task_id))
    assert known is not None
    lease = {**known.data["lease"], "until": to_datetime(0)}  # type: ignore[dict-item]  # a map
    documents.commit([Patch(known.path, {"lease": lease, "due_at": 0})])

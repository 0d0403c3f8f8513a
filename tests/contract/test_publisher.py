"""One contract for publishers: the memory adapter, and Pub/Sub as its emulator plays it."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any, Protocol

import pytest
import requests

from emulator.suite import Suite
from shared.kernel.errors import Rejected
from shared.kernel.events import Publisher, TopicMessage
from shared.kernel.ids import new_id
from shared.platform.memory.publisher import MemoryPublisher
from shared.platform.pubsub.alerts import PublishedAlerts
from shared.platform.pubsub.publisher import MESSAGE_BYTES_MAX, MessageRejected, PublishFailed, PubSubPublisher

pytestmark = pytest.mark.usefixtures("emulators")
"""Named for all of them, so that the environment is theirs, whatever else was started before."""

Received = tuple[str, Mapping[str, Any]]


class Stage(Protocol):
    @property
    def publisher(self) -> Publisher: ...

    def subscribe(self, topic: str) -> None: ...
    def received(self, topic: str, count: int) -> list[Received]: ...


class MemoryStage:
    def __init__(self) -> None:
        self.publisher = MemoryPublisher()

    def subscribe(self, topic: str) -> None:
        return

    def received(self, topic: str, count: int) -> list[Received]:
        return [(message.ordering_key, message.data) for message in self.publisher.on(topic)]


SECONDS_MAX = 120


class EmulatorStage:
    """A subscriber by REST, with ordering on."""

    def __init__(self, suite: Suite) -> None:
        self.project = suite.project
        self.url = f"{suite.endpoints.pubsub}/v1/projects/{self.project}"
        self.publisher = PubSubPublisher(self.project)

    def subscribe(self, topic: str) -> None:
        requests.put(f"{self.url}/topics/{topic}", timeout=SECONDS_MAX).raise_for_status()
        whole = f"projects/{self.project}/topics/{topic}"
        body = {"topic": whole, "enableMessageOrdering": True, "ackDeadlineSeconds": 600}
        requests.put(f"{self.url}/subscriptions/{topic}", json=body, timeout=SECONDS_MAX).raise_for_status()

    def received(self, topic: str, count: int) -> list[Received]:
        found: list[Received] = []
        deadline = time.monotonic() + SECONDS_MAX
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages came"
            pulled = self._post(f"subscriptions/{topic}:pull", {"maxMessages": count}).get("receivedMessages", [])
            if pulled:
                self._post(f"subscriptions/{topic}:acknowledge", {"ackIds": [each["ackId"] for each in pulled]})
            for each in pulled:
                message = each["message"]
                found.append((message.get("orderingKey", ""), json.loads(base64.b64decode(message["data"]))))
        return found

    def _post(self, path: str, body: object) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/{path}", json=body, timeout=SECONDS_MAX)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(params=["memory", "pubsub"])
def stage(request: pytest.FixtureRequest):
    if request.param == "memory":
        yield MemoryStage()
        return
    stage = EmulatorStage(request.getfixturevalue("emulators"))
    yield stage
    stage.publisher.close()


def test_messages_arrive_with_their_data(stage: Stage):
    topic = new_id("t")
    stage.subscribe(topic)

    stage.publisher.publish(
        [TopicMessage(topic=topic, data={"text": "grüße", "number": 2**53, "nested": {"none": None}})]
    )

    assert stage.received(topic, 1) == [("", {"text": "grüße", "number": 2**53, "nested": {"none": None}})]


def test_messages_of_one_key_arrive_in_their_order(stage: Stage):
    topic = new_id("t")
    stage.subscribe(topic)
    messages = [TopicMessage(topic=topic, data={"seq": seq}, ordering_key=f"user{seq % 3}") for seq in range(60)]

    stage.publisher.publish(messages[:30])
    stage.publisher.publish(messages[30:])

    received = stage.received(topic, 60)
    for key in range(3):
        assert [data["seq"] for name, data in received if name == f"user{key}"] == list(range(key, 60, 3))


def test_messages_go_to_their_own_topics(stage: Stage):
    one, other = new_id("t"), new_id("t")
    stage.subscribe(one)
    stage.subscribe(other)

    stage.publisher.publish([TopicMessage(topic=one, data={"n": 1}), TopicMessage(topic=other, data={"n": 2})])

    assert (stage.received(one, 1), stage.received(other, 1)) == ([("", {"n": 1})], [("", {"n": 2})])


def test_publishing_nothing_is_fine(stage: Stage):
    stage.publisher.publish([])


def test_many_messages_are_cut_into_requests_and_stay_in_order(emulators: Suite):
    topic = new_id("t")
    stage = EmulatorStage(emulators)
    stage.subscribe(topic)

    stage.publisher.publish([TopicMessage(topic=topic, data={"seq": seq}, ordering_key="k") for seq in range(2_300)])

    assert [data["seq"] for _, data in stage.received(topic, 2_300)] == list(range(2_300))
    stage.publisher.close()


def test_a_laptop_makes_the_topics_it_needs(emulators: Suite):
    stage, topic = EmulatorStage(emulators), new_id("t")

    stage.publisher.publish([TopicMessage(topic=topic, data={"n": 1})])
    stage.publisher.publish([TopicMessage(topic=topic, data={"n": 2})])

    answer = requests.get(f"{stage.url}/topics/{topic}", timeout=SECONDS_MAX)
    assert answer.json()["name"].endswith(topic)
    stage.publisher.close()


def test_what_is_too_large_is_refused_before_anything_is_sent(emulators: Suite):
    stage, topic = EmulatorStage(emulators), new_id("t")
    large = TopicMessage(topic=topic, data={"text": "x" * MESSAGE_BYTES_MAX})

    with pytest.raises(MessageRejected):
        stage.publisher.publish([TopicMessage(topic=topic, data={"n": 1}), large])

    assert requests.get(f"{stage.url}/topics/{topic}", timeout=SECONDS_MAX).status_code == 404


def test_a_topic_that_cannot_be_is_refused(emulators: Suite):
    stage = EmulatorStage(emulators)

    with pytest.raises(Rejected):
        stage.publisher.publish([TopicMessage(topic="not a topic", data={})])

    stage.publisher.close()


def test_no_broker_means_publish_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    monkeypatch.setattr("shared.platform.pubsub.publisher.PUBLISH_TIMEOUT_SECONDS", 0.3)
    publisher = PubSubPublisher("demo-nowhere")

    with pytest.raises(PublishFailed):
        publisher.publish([TopicMessage(topic="t", data={})])

    publisher.close()


def test_an_alert_is_a_log_line_and_a_message(capsys: pytest.CaptureFixture[str]):
    publisher = MemoryPublisher()

    PublishedAlerts(publisher).alert("integrity_failed", uid="ann", seq=7)

    line = json.loads(capsys.readouterr().out)
    assert (line["severity"], line["event"], line["seq"]) == ("CRITICAL", "integrity_failed", 7)
    assert publisher.on("alerts") == [
        TopicMessage(
            topic="alerts",
            data={"event": "integrity_failed", "alert": "integrity_failed:ann", "uid": "ann", "seq": 7},
        )
    ]


class Broken:
    def publish(self, messages: object) -> None:
        raise PublishFailed


def test_an_alert_never_breaks_what_it_reports_on(capsys: pytest.CaptureFixture[str]):
    alerts = PublishedAlerts(Broken())

    alerts.alert("integrity_failed", uid="ann")

    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["integrity_failed", "alert_not_published"]

import json

import pytest

from shared.ai.chat.keeping import FREE_BYTES_MAX
from shared.ai.ports import UpstreamRejected, UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.platform.memory.chat_model import ScriptedChatModel, says
from tests.api.world import World, problem

USAGE = Usage(input_tokens=10, output_tokens=1)
FAILING = ScriptedChatModel(scripts=[[UpstreamUnavailable()]])
COST = "0.00021"
"""10 × 0.15 $ + 1 × 0.6 $ per million tokens, at 100 credits for a dollar."""


def talking(*words, **options):
    return World(chat_model=ScriptedChatModel(scripts=[says(*words, usage=USAGE, **options)]))


def conversation_of(person, **body):
    return person.post("/chat/conversations", body).json["id"]


def frames(response):
    """The stream as (event, data) pairs; pings stand as themselves."""
    found = []
    for block in response.get_data(as_text=True).split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        found.append((lines.get("event", "message"), json.loads(lines["data"])) if lines else "ping")
    return found


def test_a_message_answers_with_its_usage_its_cost_and_the_balance():
    alice = talking("Hi", "!").person(credits_=1)
    conversation = conversation_of(alice)

    said = alice.post(f"/chat/conversations/{conversation}/messages", {"content": "Hello"})

    assert said.status_code == 201
    answer = said.json
    message = answer.pop("message")
    assert message.pop("id").startswith("msg_")
    assert message.pop("created_at").endswith("Z")
    assert message == {
        "role": "assistant",
        "content": "Hi!",
        "model": "gpt-4o-mini",
        "model_reason": None,
        "finish_reason": "stop",
    }
    assert answer == {
        "usage": {"input_tokens": 10, "output_tokens": 1, "estimated": False},
        "cost": COST,
        "balance": {"available": "0.99979", "held": "0"},
    }
    assert (said.headers["X-Credits-Cost"], said.headers["X-Credits-Available"]) == (COST, "0.99979")


def test_a_stream_ends_with_what_the_plain_answer_says():
    alice = talking("Hi", "!").person(credits_=1)
    conversation = conversation_of(alice)
    body = {"content": "Hello", "stream": True}

    streamed = alice.post(f"/chat/conversations/{conversation}/messages", body, headers={"X-Request-Id": "req-7"})

    assert (streamed.status_code, streamed.mimetype) == (200, "text/event-stream")
    assert streamed.headers["Cache-Control"] == "no-cache, no-transform"
    assert streamed.headers["X-Accel-Buffering"] == "no"
    assert streamed.headers["X-Request-Id"] == "req-7"
    *deltas, (last, answer) = frames(streamed)
    assert deltas == [("message", {"delta": "Hi"}), ("message", {"delta": "!"})]
    assert (last, answer["message"]["content"], answer["cost"]) == ("done", "Hi!", COST)
    assert answer["balance"] == {"available": "0.99979", "held": "0"}
    assert "id: req-7\n" in streamed.get_data(as_text=True)


def test_the_same_key_streams_the_same_message_without_a_second_call():
    world = talking("Hi", "!")
    alice = world.person(credits_=1)
    path = f"/chat/conversations/{conversation_of(alice)}/messages"
    body = {"content": "Hello", "stream": True}

    first, second = (frames(alice.post(path, body, key="k")) for _ in range(2))

    assert second[-1] == first[-1]
    assert "".join(data["delta"] for _, data in second[:-1]) == "Hi!"
    assert len(world.chat_model.requests) == 1


def test_the_same_key_answers_the_same_message_without_a_second_call():
    world = talking("Hi")
    alice = world.person(credits_=1)
    path = f"/chat/conversations/{conversation_of(alice)}/messages"

    first, second = (alice.post(path, {"content": "Hello"}, key="k") for _ in range(2))

    assert (second.status_code, second.get_data()) == (first.status_code, first.get_data())
    assert len(world.chat_model.requests) == 1


ABORTED = {"AI_PLATFORM_PROFILE": "openai"}


def test_a_client_that_leaves_ends_the_call_and_pays_for_what_it_got():
    world = World(env=ABORTED, chat_model=ScriptedChatModel(scripts=[[*says("Hi", "!", usage=USAGE)[:2], 30.0]]))
    alice = world.person(credits_=1)
    path = f"/chat/conversations/{conversation_of(alice)}/messages"

    response = alice.post(path, {"content": "Hello", "stream": True}, buffered=False)
    parts = iter(response.response)
    first = next(parts)
    response.close()

    assert "Hi" in str(first)
    assert world.chat_model.streams[0].is_aborted
    balance = alice.get("/credits/balance").json
    assert balance["held"] == "0"
    assert 0 < 1 - float(balance["available"]) < 0.01


def test_a_client_that_leaves_before_reading_anything_holds_nothing_back():
    world = World(env=ABORTED, chat_model=ScriptedChatModel(scripts=[[*says("Hi")[:1], 30.0]]))
    alice = world.person(credits_=1)
    path = f"/chat/conversations/{conversation_of(alice)}/messages"

    alice.post(path, {"content": "Hello", "stream": True}, buffered=False).close()

    assert world.chat_model.streams[0].is_aborted
    assert alice.get("/credits/balance").json["held"] == "0"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_refusal_is_a_plain_problem_before_anything_is_sent(world, is_streamed):
    poor = world.person()
    conversation = conversation_of(poor)

    refused = poor.post(f"/chat/conversations/{conversation}/messages", {"content": "Hello", "stream": is_streamed})

    assert problem(refused) == (402, "insufficient_credits")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_an_upstream_that_fails_costs_nothing(is_streamed):
    world = World(chat_model=FAILING)
    alice = world.person(credits_=1)
    path = f"/chat/conversations/{conversation_of(alice)}/messages"

    refused = alice.post(path, {"content": "Hello", "stream": is_streamed})

    assert problem(refused) == (502, "upstream_unavailable")
    assert alice.available == "1"


def test_an_upstream_that_refuses_is_told_as_such():
    world = World(chat_model=ScriptedChatModel(scripts=[[UpstreamRejected()]]))
    alice = world.person(credits_=1)

    refused = alice.post(f"/chat/conversations/{conversation_of(alice)}/messages", {"content": "Hello"})

    assert problem(refused) == (502, "upstream_rejected")


def test_a_stream_that_breaks_ends_with_a_problem():
    broken = [*says("Hi")[:1], UpstreamUnavailable()]
    alice = World(chat_model=ScriptedChatModel(scripts=[broken])).person(credits_=1)
    path = f"/chat/conversations/{conversation_of(alice)}/messages"

    streamed = frames(alice.post(path, {"content": "Hello", "stream": True}))

    assert streamed[0] == ("message", {"delta": "Hi"})
    event, told = streamed[-1]
    assert (event, told["code"], told["status"]) == ("error", "upstream_unavailable", 502)


def test_a_surprise_in_a_stream_tells_nothing_of_itself(capsys):
    class Surprise(ScriptedChatModel):
        def stream(self, request):
            raise ZeroDivisionError("secret")

    world = World(chat_model=Surprise())
    alice = world.person(credits_=1)
    path = f"/chat/conversations/{conversation_of(alice)}/messages"

    refused = alice.post(path, {"content": "Hello", "stream": True})

    assert problem(refused) == (500, "internal_error")
    assert "secret" not in refused.get_data(as_text=True)
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert alice.get("/credits/balance").json["held"] == "0"


def test_a_conversation_begun_with_a_message_answers_it_at_once():
    alice = talking("Hi").person(credits_=1)

    begun = alice.post("/chat/conversations", {"message": "Hello there\nand more", "system_prompt": "Be kind."})

    assert begun.status_code == 201
    assert (begun.json["title"], begun.json["system_prompt"]) == ("Hello there", "Be kind.")
    assert (begun.json["message"]["content"], begun.json["cost"]) == ("Hi", COST)
    assert begun.headers["X-Credits-Cost"] == COST
    shown = alice.get(f"/chat/conversations/{begun.json['id']}").json
    assert {name: shown[name] for name in ("title", "created_at", "updated_at")} == {
        name: begun.json[name] for name in ("title", "created_at", "updated_at")
    }


def test_a_conversation_whose_first_message_fails_leaves_nothing_behind():
    alice = World(chat_model=FAILING).person(credits_=1)

    refused = alice.post("/chat/conversations", {"message": "Hello"})

    assert problem(refused) == (502, "upstream_unavailable")
    assert alice.get("/chat/conversations").json["items"] == []


def test_with_a_key_it_can_be_asked_for_again():
    flaky = ScriptedChatModel(scripts=[[UpstreamUnavailable()], says("Hi", usage=USAGE)])
    alice = World(chat_model=flaky).person(credits_=1)

    answers = [alice.post("/chat/conversations", {"message": "Hello"}, key="k") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [502, 201]
    assert len(alice.get("/chat/conversations").json["items"]) == 1


def test_a_conversation_shows_its_messages_newest_first():
    alice = talking("Hi").person(credits_=1)
    conversation = alice.post("/chat/conversations", {"message": "Hello"}).json["id"]

    shown = alice.get(f"/chat/conversations/{conversation}").json

    answer, question = shown["messages"]["items"]
    assert (question["role"], question["content"], question["cost"], question["usage"]) == ("user", "Hello", None, None)
    assert (answer["role"], answer["content"], answer["cost"]) == ("assistant", "Hi", COST)
    assert answer["usage"] == {"input_tokens": 10, "output_tokens": 1, "estimated": False}
    assert alice.get(f"/chat/conversations/{conversation}/messages").json == shown["messages"]


def test_messages_and_conversations_come_in_pages(world):
    alice = talking("Hi").person(credits_=1)
    ids = [alice.post("/chat/conversations", {"message": f"Hello {n}"}).json["id"] for n in range(3)]

    first = alice.get("/chat/conversations?limit=2").json
    second = alice.get(f"/chat/conversations?limit=2&cursor={first['next_cursor']}").json
    messages = alice.get(f"/chat/conversations/{ids[0]}/messages?limit=1").json
    older = alice.get(f"/chat/conversations/{ids[0]}/messages?limit=1&cursor={messages['next_cursor']}").json

    assert {item["id"] for item in first["items"] + second["items"]} == set(ids)
    assert second["next_cursor"] is None
    assert [page["items"][0]["role"] for page in (messages, older)] == ["assistant", "user"]


def test_a_conversation_can_be_changed(world, alice):
    conversation = conversation_of(alice, title="Old", system_prompt="Be kind.")

    changed = alice.call("PATCH", f"/chat/conversations/{conversation}", body={"title": "New", "system_prompt": None})

    assert (changed.status_code, changed.json["title"], changed.json["system_prompt"]) == (200, "New", None)
    assert alice.get(f"/chat/conversations/{conversation}").json["title"] == "New"


def test_a_deleted_conversation_is_gone(alice):
    conversation = conversation_of(alice, title="Old")

    deleted = alice.call("DELETE", f"/chat/conversations/{conversation}")

    assert (deleted.status_code, deleted.get_data()) == (204, b"")
    assert problem(alice.get(f"/chat/conversations/{conversation}")) == (404, "conversation_not_found")


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"title": "Mine"}),
        ("DELETE", "", None),
        ("GET", "/messages", None),
        ("POST", "/messages", {"content": "Hello"}),
    ],
)
def test_a_strangers_conversation_does_not_exist(world, alice, method, rest, body):
    conversation = conversation_of(alice, title="Mine")

    refused = world.person(credits_=1).call(method, f"/chat/conversations/{conversation}{rest}", body=body)

    assert problem(refused) == (404, "conversation_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": ""},
        {"content": None},
        {"content": ["Hello"]},
        {"content": "a\0b"},
        {"content": "Hello", "stream": "true"},
        {"content": "Hello", "max_output_tokens": 0},
        {"content": "Hello", "max_output_tokens": 1.5},
        {"content": "Hello", "max_output_tokens": "10"},
        {"content": "Hello", "model": ""},
        {"content": "Hello", "temperature": 0.5},
    ],
    ids=lambda body: str(body)[:40],
)
def test_a_message_that_makes_no_sense_is_refused(alice, body):
    refused = alice.post(f"/chat/conversations/{conversation_of(alice)}/messages", body)

    assert problem(refused) == (422, "invalid_request")


def test_a_message_fits_into_a_document_whatever_its_script(alice):
    path = f"/chat/conversations/{conversation_of(alice)}/messages"

    refused = alice.call(
        "POST", path, data=f'{{"content": "{"é" * 450_000}"}}'.encode(), content_type="application/json"
    )

    assert (problem(refused), list(refused.json["errors"])) == ((422, "invalid_request"), ["content"])


def test_a_model_that_is_not_offered_is_not_found(alice):
    conversation = conversation_of(alice)

    for refused in (
        alice.post(f"/chat/conversations/{conversation}/messages", {"content": "Hello", "model": "gpt-9"}),
        alice.post("/chat/conversations", {"model": "gpt-9"}),
        alice.call("PATCH", f"/chat/conversations/{conversation}", body={"model": "gpt-9"}),
        alice.call("PUT", "/models/preferences", body={"chat_model": "gpt-9"}),
        alice.post("/models/estimate-cost", {"content": "Hello", "model": "gpt-9"}),
    ):
        assert problem(refused) == (404, "model_not_found")


def test_a_message_longer_than_the_window_is_refused(alice):
    refused = alice.post(f"/chat/conversations/{conversation_of(alice)}/messages", {"content": "word " * 9_000})

    assert problem(refused) == (422, "context_too_long")


# Memory ----------------------------------------------------------------------------------------------------------


def test_a_conversation_is_exported_with_all_its_messages_oldest_first():
    alice = talking("Hi", "!").person(credits_=1)
    conversation = conversation_of(alice)
    for _ in range(3):
        alice.post(f"/chat/conversations/{conversation}/messages", {"content": "Hello"})

    exported = alice.get(f"/chat/conversations/{conversation}/export")

    assert exported.mimetype == "application/x-ndjson"
    first, *said = [json.loads(line) for line in exported.get_data(as_text=True).splitlines()]
    assert first == {"type": "conversation", **_without_messages(alice, conversation)}
    listed = alice.get(f"/chat/conversations/{conversation}/messages").json["items"]
    assert said == [{"type": "message", **message} for message in reversed(listed)]
    assert problem(alice.world.person().get(f"/chat/conversations/{conversation}/export")) == (
        404,
        "conversation_not_found",
    )


def _without_messages(alice, conversation):
    shown = alice.get(f"/chat/conversations/{conversation}").json
    return {name: value for name, value in shown.items() if name != "messages"}


def test_a_title_is_made_for_what_the_cheapest_model_charges_and_once_for_a_key():
    alice = talking("Tea", " time").person(credits_=1)
    conversation = alice.post("/chat/conversations", {"message": "Hello"}).json["id"]

    made = alice.post(f"/chat/conversations/{conversation}/title", key="t")
    again = alice.post(f"/chat/conversations/{conversation}/title", key="t")

    assert made.status_code == 201
    assert made.json == again.json == {"title": "Tea time", "cost": COST, "local": False}
    assert made.headers["X-Credits-Cost"] == COST
    shown = alice.get(f"/chat/conversations/{conversation}").json
    assert (shown["title"], shown["title_cost"]) == ("Tea time", COST)


def test_a_summary_is_a_message_with_its_own_cost():
    world = talking("Hi", "!")
    alice = world.person(credits_=20)
    conversation = conversation_of(alice)
    for _ in range(2):
        alice.post(f"/chat/conversations/{conversation}/messages", {"content": "tea " * 5_000})

    listed = alice.get(f"/chat/conversations/{conversation}/messages").json["items"]

    assert [(message["role"], message["is_summary"]) for message in reversed(listed)] == [
        ("user", False),
        ("assistant", False),
        ("system", True),
        ("user", False),
        ("assistant", False),
    ]
    charged = alice.get("/credits/history?kind=charge").json["items"]
    assert sorted(entry["amount"] for entry in charged) == sorted(
        f"-{message['cost']}" for message in listed if message["cost"]
    )


def test_user_without_credits_is_told_when_enough_is_kept(world):
    poor, rich = world.person(), world.person(credits_=1)
    longer = {"system_prompt": "x" * (FREE_BYTES_MAX // 2)}

    def prompted(person):
        begun = [person.post("/chat/conversations", {}).json["id"] for _ in range(2)]
        return begun, [person.call("PATCH", f"/chat/conversations/{each}", body=longer) for each in begun]

    (first, second), told = prompted(poor)

    assert [each.status_code for each in told] == [200, 409]
    assert problem(told[1]) == (409, "storage_full")
    assert [each.status_code for each in prompted(rich)[1]] == [200, 200]
    assert poor.call("DELETE", f"/chat/conversations/{first}").status_code == 204
    assert poor.call("PATCH", f"/chat/conversations/{second}", body=longer).status_code == 200


@pytest.mark.parametrize("key", [None, "begin"])
def test_a_refused_first_message_leaves_no_conversation(world, key):
    poor = world.person()

    refused = poor.post("/chat/conversations", {"message": "Hello"}, key=key)

    assert problem(refused) == (402, "insufficient_credits")
    assert poor.get("/chat/conversations").json["items"] == []


def test_a_refused_first_message_is_answered_under_its_key_once_it_can_be_paid(world, admin):
    poor = world.person()
    poor.post("/chat/conversations", {"message": "Hello"}, key="begin")
    admin.post(f"/admin/users/{poor.uid}/credits", {"amount": "5", "reason": "a gift"})

    begun = poor.post("/chat/conversations", {"message": "Hello"}, key="begin")

    assert begun.status_code == 201
    assert [each["id"] for each in poor.get("/chat/conversations").json["items"]] == [begun.json["id"]]

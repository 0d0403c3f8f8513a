"""Answers that may be asked for again, on Firestore and in memory: compressed, bounded, erased."""

import pytest

from shared.ai.openai.answers import AnswerNotKept, Answers, StoredAnswer
from shared.kernel.clock import DAY
from shared.kernel.ids import Uid
from shared.platform.firestore.documents import connect
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments

ANSWER = StoredAnswer(
    answer={"choices": [{"message": {"content": "ü\u2028" * 1_000}}], "n": 1.5, "none": None},
    finish_reason="stop",
    is_estimated=False,
    input_tokens=3,
    output_tokens=4,
    model="m",
    choice=None,
)
ANN, BOB = Uid("ann"), Uid("bob")


@pytest.fixture(params=["memory", "firestore"])
def documents(request, firestore_emulator, project):
    return MemoryDocuments() if request.param == "memory" else connect(project)


def test_an_answer_is_found_as_it_was_kept(documents):
    answers = Answers(documents, ManualClock())
    documents.commit([answers.kept(ANN, "ans_1", ANSWER)])

    assert answers.get(ANN, "ans_1") == ANSWER


def test_another_users_or_none_is_not_there(documents):
    answers = Answers(documents, ManualClock())
    documents.commit([answers.kept(ANN, "ans_1", ANSWER)])

    for uid, answer_id in ((BOB, "ans_1"), (ANN, "ans_2")):
        with pytest.raises(AnswerNotKept):
            answers.get(uid, answer_id)


def test_a_day_later_it_is_not_told_whether_or_not_it_is_still_stored(documents):
    clock = ManualClock()
    answers = Answers(documents, clock)
    documents.commit([answers.kept(ANN, "ans_1", ANSWER)])
    clock.advance(DAY - 1)
    assert answers.get(ANN, "ans_1") == ANSWER

    clock.advance(1)

    with pytest.raises(AnswerNotKept):
        answers.get(ANN, "ans_1")


def test_what_is_larger_than_a_document_is_not_kept(documents, monkeypatch):
    monkeypatch.setattr("shared.ai.openai.answers.CONTENT_BYTES_MAX", 50)
    answers = Answers(documents, ManualClock())
    documents.commit([answers.kept(ANN, "ans_1", ANSWER)])

    with pytest.raises(AnswerNotKept):
        answers.get(ANN, "ans_1")


def test_who_leaves_takes_all_of_them_along(documents):
    answers = Answers(documents, ManualClock())
    documents.commit([answers.kept(uid, f"ans_{uid}_{n}", ANSWER) for uid in (ANN, BOB) for n in range(3)])

    answers.erase(ANN)
    answers.erase(ANN)

    assert answers.get(BOB, "ans_bob_2") == ANSWER
    with pytest.raises(AnswerNotKept):
        answers.get(ANN, "ans_ann_0")

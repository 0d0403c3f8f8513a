from shared.ai.models.health import MODELS_MAX, REST_SECONDS, REST_SECONDS_MAX, ModelHealth
from shared.platform.memory.clock import ManualClock


def test_who_failed_rests_and_is_asked_again_later():
    clock = ManualClock()
    health = ModelHealth(clock)

    health.failed("a")

    assert (health.is_ailing("a"), health.is_ailing("b")) == (True, False)
    clock.advance(int(REST_SECONDS * 1000))
    assert not health.is_ailing("a")


def test_each_failure_in_a_row_doubles_the_rest_up_to_a_limit():
    clock = ManualClock()
    health = ModelHealth(clock)
    rests = []
    for _ in range(7):
        health.failed("a")
        began = clock.monotonic()
        while health.is_ailing("a"):
            clock.advance(5_000)
        rests.append(clock.monotonic() - began)

    assert rests == [15.0, 30.0, 60.0, 120.0, REST_SECONDS_MAX, REST_SECONDS_MAX, REST_SECONDS_MAX]


def test_who_answers_is_well_again():
    health = ModelHealth(ManualClock())
    health.failed("a")

    health.answered("a")
    health.answered("b")

    assert not health.is_ailing("a")


def test_no_more_is_remembered_than_there_can_be_models():
    health = ModelHealth(ManualClock())
    for number in range(MODELS_MAX + 1):
        health.failed(f"m{number}")

    assert (health.is_ailing("m0"), health.is_ailing("m1"), health.is_ailing(f"m{MODELS_MAX}")) == (False, True, True)

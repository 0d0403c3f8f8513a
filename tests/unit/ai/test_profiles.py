import pytest

from shared.ai.models.profiles import PROFILES, upstream_profiles_of
from shared.bootstrap import MEMORY_ENVIRONMENT
from shared.kernel.settings import SettingsError, parse_settings


def profiles(**env):
    return upstream_profiles_of(parse_settings({**MEMORY_ENVIRONMENT, **env}))


def test_an_upstream_bills_to_the_end_unless_a_setting_says_otherwise():
    told = profiles(AI_UPSTREAMS="router=https://router.example")

    assert [told.of(name).abort_ends_billing for name in ("default", "router", "gone")] == [False, False, False]


def test_each_upstream_has_the_profile_that_its_setting_names():
    told = profiles(
        AI_PLATFORM_PROFILE="openai",
        AI_UPSTREAMS="on-prem=https://a.example,other=https://b.example",
        AI_UPSTREAM_ON_PREM_PROFILE="azure",
        AI_UPSTREAM_OTHER_PROFILE="google",
    )

    assert [told.of(name).abort_ends_billing for name in ("default", "on-prem", "other")] == [True, True, False]


def test_abort_ends_the_bill_of_openai_and_azure_alone():
    ending = {name for name, profile in PROFILES.items() if profile.abort_ends_billing}

    assert ending == {"openai", "azure"}


def test_an_unknown_profile_is_refused_with_the_known_names():
    with pytest.raises(SettingsError, match="AI_PLATFORM_PROFILE names no known profile; known are auto, azure"):
        profiles(AI_PLATFORM_PROFILE="open-ai")

"""Profiles of upstreams: the behaviour in which OpenAI-compatible providers differ."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from shared.ai.models.catalogue import Model
from shared.ai.models.end_user import END_USER_FIELDS
from shared.ai.models.usage_report import UsageForm
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.kernel.settings import UNKNOWN_UPSTREAM, UPSTREAM_PROFILES, Settings

END_USER_KNOWN = frozenset({"openai", "laptop"})
"""Profiles of providers that know both fields for an end user. Several other providers refuse the newer field."""
END_USER_UNKNOWN = frozenset({"mistral", "google", "gemini"})
"""Profiles of providers that refuse a request that names an end user."""
END_USER_BY_HOST = {
    "api.openai.com": "openai",
    "api.mistral.ai": "mistral",
    "generativelanguage.googleapis.com": "google",
}
"""Profiles for the end-user fields only, by host. They apply if the settings name no profile, to avoid refusals."""


LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
"""Names of OpenAI's for the limit of an answer: the older name, then the newer name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamProfile:
    """Behaviour of one upstream.

    `abort_ends_billing`: closing the connection of a streamed call ends the billing. If False, the provider generates,
    and bills, to the end of the answer. `limit_field`: the one name of an answer's limit that the provider keeps to;
    None if the provider keeps to the name that a request uses. `knows_stream_options`: the provider takes
    `stream_options`. Other providers report usage without the field. `knows_completions`: the provider takes text
    completions, with a suffix, for the chat models. `usage_form`: where the provider counts hidden reasoning.
    """

    abort_ends_billing: bool = False
    limit_field: str | None = None
    knows_stream_options: bool = True
    usage_form: UsageForm = "auto"
    knows_completions: bool = False


def _end_user_fields(profile: str) -> tuple[str, ...]:
    if profile in END_USER_KNOWN:
        return END_USER_FIELDS
    return () if profile in END_USER_UNKNOWN else END_USER_FIELDS[:1]


def end_user_fields_of(profile: str, base_url: str) -> tuple[str, ...]:
    """Return the fields that name the end user to the upstream of this profile and address."""
    host = urlsplit(base_url).hostname or ""
    return _end_user_fields(END_USER_BY_HOST.get(host, profile) if profile == UNKNOWN_UPSTREAM else profile)


OLDER, NEWER = LIMIT_FIELDS
UNKNOWN_PROFILE = UpstreamProfile(limit_field=OLDER)
"""Profile of an unknown upstream. Every provider keeps to the older limit, or refuses the field by name."""
PROFILES: Mapping[str, UpstreamProfile] = {
    "auto": UNKNOWN_PROFILE,
    "azure": UpstreamProfile(abort_ends_billing=True),
    "bedrock": UpstreamProfile(limit_field=OLDER),
    "deepseek": UpstreamProfile(limit_field=OLDER),
    "gemini": UpstreamProfile(limit_field=OLDER),
    "google": UpstreamProfile(limit_field=OLDER),
    "groq": UpstreamProfile(),
    "laptop": UpstreamProfile(),
    "minimax": UpstreamProfile(limit_field=OLDER),
    "mistral": UpstreamProfile(limit_field=OLDER, knows_stream_options=False),
    "moonshot": UpstreamProfile(limit_field=OLDER),
    "nebius": UpstreamProfile(limit_field=OLDER),
    "ollama": UpstreamProfile(limit_field=OLDER, knows_completions=True),
    "openai": UpstreamProfile(abort_ends_billing=True),
    "openrouter": UpstreamProfile(limit_field=OLDER),
    "together": UpstreamProfile(limit_field=OLDER, knows_completions=True),
    "vllm": UpstreamProfile(limit_field=OLDER, knows_completions=True),
    "xai": UpstreamProfile(usage_form="beside"),
}
assert PROFILES.keys() == set(UPSTREAM_PROFILES), "every profile that a setting may name is described"
PROFILE_BY_HOST: Mapping[str, str] = {
    "api.openai.com": "openai",
    "azure.com": "azure",
    "api.mistral.ai": "mistral",
    "generativelanguage.googleapis.com": "gemini",
    "aiplatform.googleapis.com": "gemini",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "openrouter.ai": "openrouter",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.studio.nebius.ai": "nebius",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.groq.com": "groq",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
}
"""Profiles of providers, by the host in an address. A host stands for all subdomains, too."""


def profile_named(name: str, base_url: str) -> UpstreamProfile:
    """Return the profile that a setting names.

    For `auto`, the address decides how to ask and how to read. `auto` never assumes that an abort ends the billing.
    That assumption saves an operator money, so the operator must state the profile.
    """
    if name != UNKNOWN_UPSTREAM:
        return PROFILES[name]
    host = urlsplit(base_url).hostname or ""
    found = next((each for known, each in PROFILE_BY_HOST.items() if host == known or host.endswith(f".{known}")), name)
    return replace(PROFILES[found], abort_ends_billing=False)


class UpstreamProfiles:
    """Profiles by the upstream's name in the settings."""

    def __init__(self, by_upstream: Mapping[str, UpstreamProfile]) -> None:
        self._by_upstream = by_upstream

    def of(self, upstream: str) -> UpstreamProfile:
        """Return the profile of this upstream. An upstream without one has the unknown profile."""
        return self._by_upstream.get(upstream, UNKNOWN_PROFILE)

    def is_stop_saving(self, model: Model) -> bool:
        """Return True if stopping a streamed answer of this model ends the cost.

        A model with hidden output is charged to the end, since the usage up to the stop is unknown.
        """
        return self.of(model.upstream).abort_ends_billing and not model.is_reasoning


def upstream_profiles_of(settings: Settings) -> UpstreamProfiles:
    """Build the profiles that the settings name."""
    others = {each.name: profile_named(each.profile, each.base_url) for each in settings.ai_upstreams}
    default = profile_named(settings.ai_platform_profile, settings.ai_platform_base_url)
    return UpstreamProfiles({DEFAULT_UPSTREAM: default, **others})

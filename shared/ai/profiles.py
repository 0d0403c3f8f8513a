"""UpstreamProfiles of upstreams: how a provider behaves where OpenAI-compatible providers differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.ai.end_user import END_USER_FIELDS
from shared.ai.models import DEFAULT_UPSTREAM, Model
from shared.kernel.settings import UNKNOWN_UPSTREAM, UPSTREAM_PROFILES, Settings

ABORT_ENDS_BILLING = frozenset({"openai", "azure"})
"""UpstreamProfiles of providers that stop generating, and billing, when the connection is closed."""


END_USER_KNOWN = frozenset({"openai", "laptop"})
"""Profiles of providers that know both fields for an end user; the newer one is refused by several others."""
END_USER_UNKNOWN = frozenset({"mistral", "google"})
"""Profiles of providers that refuse a request that names an end user."""
END_USER_BY_HOST = {
    "api.openai.com": "openai",
    "api.mistral.ai": "mistral",
    "generativelanguage.googleapis.com": "google",
}
"""Profiles that decide about the end user alone where the settings name none, so that no request is refused for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamProfile:
    """Behaviour of one upstream.

    `abort_ends_billing`: closing the connection of a streamed call ends what the provider bills. If False, the
    provider generates, and bills, to the end of the answer.
    """

    abort_ends_billing: bool = False


def _end_user_fields(profile: str) -> tuple[str, ...]:
    if profile in END_USER_KNOWN:
        return END_USER_FIELDS
    return () if profile in END_USER_UNKNOWN else END_USER_FIELDS[:1]


def end_user_fields_of(profile: str, base_url: str) -> tuple[str, ...]:
    """Return the fields that name the end user to the upstream of this profile and address."""
    host = urlsplit(base_url).hostname or ""
    return _end_user_fields(END_USER_BY_HOST.get(host, profile) if profile == UNKNOWN_UPSTREAM else profile)


UNKNOWN_PROFILE = UpstreamProfile()
PROFILES: Mapping[str, UpstreamProfile] = {
    name: UpstreamProfile(abort_ends_billing=name in ABORT_ENDS_BILLING) for name in UPSTREAM_PROFILES
}


class UpstreamProfiles:
    """The profile of each upstream, by the upstream's name in the settings."""

    def __init__(self, by_upstream: Mapping[str, UpstreamProfile]) -> None:
        self._by_upstream = by_upstream

    def of(self, upstream: str) -> UpstreamProfile:
        """Return the profile of this upstream. An upstream without one has the unknown profile."""
        return self._by_upstream.get(upstream, UNKNOWN_PROFILE)

    def is_stop_saving(self, model: Model) -> bool:
        """True if stopping a streamed answer of this model ends what it costs.

        A model that also generates what nobody sees is charged to the end: what was used until then is unknown.
        """
        return self.of(model.upstream).abort_ends_billing and not model.is_reasoning


def upstream_profiles_of(settings: Settings) -> UpstreamProfiles:
    """Build the profiles that the settings name."""
    others = {each.name: PROFILES[each.profile] for each in settings.ai_upstreams}
    return UpstreamProfiles({DEFAULT_UPSTREAM: PROFILES[settings.ai_platform_profile], **others})

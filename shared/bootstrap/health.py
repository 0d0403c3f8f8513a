"""Parts that watch this backend's health: looks at the parts that it depends on, and a glance at the schedules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.sagas.health.glance import ScheduleGlance
    from shared.sagas.health.looks import Look
    from shared.sagas.health.watch import PartWatch


@dataclass(eq=False)
class HealthServices:
    """Parts that watch this backend's health."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits_: CreditServices

    @part
    def watch(self) -> "PartWatch":
        """Build the watch of the parts that this backend depends on."""
        from shared.sagas.health.watch import PartWatch

        return PartWatch(self.looks, self.ports.alerts(), self.clock)

    @part
    def glance(self) -> "ScheduleGlance":
        """Build the glance at the schedules."""
        from shared.sagas.health.glance import ScheduleGlance

        return ScheduleGlance(self.ports.documents(), self.ports.alerts(), self.clock)

    def glance_at_schedules(self) -> None:
        """Look at the schedules, if a look is due. The reader is built after the first answer. Never raises."""
        self.glance.glance()

    def looks(self) -> "Mapping[str, Look]":
        """Return the look at each part that the settings name. Providers and upstreams are `kind:name`."""
        from shared.ai.ports import DEFAULT_UPSTREAM
        from shared.sagas.health import looks

        identity, listing = self.ports.identity(), self.ports.model_listing()
        found = {
            "identity": looks.identity_look(identity),
            "broker": looks.broker_look(self.ports.publisher()),
            "bucket": looks.bucket_look(self.ports.objects()),
            "signing_key": looks.signing_look(
                lambda: self.credits_.keys, lambda: self.credits_.known_keys.known, self.clock
            ),
        }
        if self.settings.app_check != "off" and not self.settings.is_laptop:
            found["app_check"] = looks.app_check_look(identity)
        for name, provider in self.ports.payment_providers().items():
            found[f"provider:{name}"] = looks.provider_look(provider, self.clock)
        for upstream in (DEFAULT_UPSTREAM, *(each.name for each in self.settings.ai_upstreams)):
            found[f"upstream:{upstream}"] = looks.upstream_look(listing, upstream)
        return found

"""Parts of the backend from which tools are built."""

from dataclasses import dataclass

from shared.ai.agents.web import Web
from shared.ai.images.store import Images
from shared.ai.models.catalogue import Catalogue
from shared.ai.models.preferences import Preferences
from shared.ai.models.profiles import UpstreamProfiles
from shared.ai.models.tariff import Tariff
from shared.ai.ports import ChatModel, ImageModel
from shared.kernel.clock import Clock
from shared.kernel.objects import Objects
from shared.ledger.losses import Losses


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolParts:
    """Parts that a tool may take in `build_tool`. A tool never sees the database or the ledger."""

    web: Web
    catalogue: Catalogue
    tariff: Tariff
    profiles: UpstreamProfiles
    chat_model: ChatModel
    image_model: ImageModel
    default_image_model: str
    preferences: Preferences
    images: Images
    objects: Objects
    losses: Losses
    clock: Clock

"""Estimates of the cost of pictures, before any hold or model call."""

from shared.ai.models.catalogue import Catalogue, Model
from shared.ai.models.preferences import Preferences
from shared.ai.models.tariff import Tariff
from shared.ai.tokens import expected_tokens
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.sagas.metering.estimate import Estimate


class PictureEstimates:
    """Estimates costs of pictures. No model is called and nothing is charged. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue, tariff: Tariff, preferences: Preferences, *, default_painter: str) -> None:
        self._catalogue = catalogue
        self._tariff = tariff
        self._preferences = preferences
        self._default_painter = default_painter

    def estimate(
        self, uid: Uid, *, prompt: str, model: str | None, size: str | None, quality: str | None, n: int
    ) -> Estimate:
        """Return the estimated cost of `n` pictures in µcr: `ceiling` and `expected` are the price of all `n`.

        This amount is held, and charged if all pictures are made. Raises ModelNotFound, ModelUnpriced, SizeNotOffered,
        QualityNotOffered.
        """
        painter = self._catalogue.image(model or self._preferences.get(uid)["image_model"] or self._default_painter)
        price = self._tariff.image_price(painter, size or painter.default_size, quality, prompt=prompt)
        cost = Micro(price * n)
        return _estimate(painter, ceiling=cost, expected=cost, tokens=n * expected_tokens(prompt))


def _estimate(painter: Model, *, ceiling: Micro, expected: Micro, tokens: int) -> Estimate:
    return Estimate(
        model=painter.id,
        model_reason=None,
        price_version=painter.price_version,
        input_tokens_at_most=tokens,
        output_tokens_at_most=0,
        ceiling=ceiling,
        input_tokens_expected=tokens,
        output_tokens_expected=0,
        expected=expected,
    )

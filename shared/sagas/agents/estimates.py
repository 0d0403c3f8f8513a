"""Estimates of the cost of agent tasks, before any hold or model call."""

from collections.abc import Iterable

from shared.ai.models.catalogue import Model
from shared.ai.models.tariff import Tariff
from shared.ai.tokens import Usage, prompt_at_most, prompt_expected
from shared.kernel.money import Micro
from shared.sagas.agents.prompt import INSTRUCTIONS, tools_as_text
from shared.sagas.agents.toolbox import spec_of
from shared.sagas.agents.tools.tool import Tool
from shared.sagas.metering.estimate import Estimate


class TaskEstimates:
    """Estimates costs of agent tasks. No model is called and nothing is charged. Safe to share between threads."""

    def __init__(self, tariff: Tariff, tools: Iterable[Tool]) -> None:
        self._tariff = tariff
        self._tools = tools_as_text([spec_of(tool) for tool in tools])

    def estimate(self, model: Model, *, goal: str, budget: Micro) -> Estimate:
        """Return the estimated cost of a task in µcr: `ceiling` is the task's budget, `expected` the first thought with
        all tools.

        Raises ModelUnpriced.
        """
        told = [INSTRUCTIONS, goal, self._tools]
        tokens = prompt_expected(told)
        thought = self._tariff.price(model, Usage(input_tokens=tokens, output_tokens=model.expected_output_tokens))
        return Estimate(
            model=model.id,
            model_reason=None,
            price_version=model.price_version,
            input_tokens_at_most=prompt_at_most(told),
            output_tokens_at_most=model.max_output_tokens,
            ceiling=budget,
            input_tokens_expected=tokens,
            output_tokens_expected=model.expected_output_tokens,
            expected=min(budget, thought),
        )

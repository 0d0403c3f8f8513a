"""The cost of an agent's thought: by the reported usage, or else by the usage that the provider can have billed."""

from dataclasses import dataclass

from shared.ai.agents.thinking import Thought
from shared.ai.models.tariff import Rate
from shared.ai.tokens import Usage, expected_tokens
from shared.kernel.money import Micro
from shared.sagas.agents.prompt import AgentPrompt
from shared.sagas.metering.ending import with_error

NOTHING = Usage(input_tokens=0, output_tokens=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtCost:
    """The price of one thought. `held` µcr are set aside for the thought; `cap` is the most output tokens."""

    rate: Rate
    prompt: AgentPrompt
    held: Micro
    cap: int
    is_reasoning: bool

    def usage(self, thought: Thought) -> Usage:
        """Return the usage of a thought: as reported, or else as counted plus the error of counting."""
        if thought.usage is not None:
            return thought.usage
        told = thought.text + "".join(f" {call.name} {call.arguments}" for call in thought.calls)
        return Usage(input_tokens=self._input, output_tokens=with_error(expected_tokens(told)))

    def price(self, thought: Thought) -> Micro:
        """Return the charge for a thought (µcr). Hidden reasoning without a report costs the bound."""
        if thought.usage is None and self.is_reasoning:
            return self.bound
        cost = self.rate.price(self.usage(thought).within(self.cap))
        return cost if thought.usage is not None else min(self.held, cost)

    @property
    def bound(self) -> Micro:
        """The most that a thought can have cost (µcr), at most the held amount."""
        return min(self.held, self.rate.bound(self.prompt.input_at_most, self.cap))

    @property
    def unsaid(self) -> Micro:
        """The cost of a thought that got no output (µcr): the input only."""
        return min(self.held, self.rate.price(Usage(input_tokens=self._input, output_tokens=0)))

    @property
    def _input(self) -> int:
        return min(self.prompt.input_at_most, with_error(self.prompt.input_expected))

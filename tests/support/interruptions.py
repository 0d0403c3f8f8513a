"""What a user, an operator or time may do while a model is speaking; and that the books are right in the end."""

from collections.abc import Callable
from contextlib import suppress

from shared.kernel.errors import DomainError
from shared.ledger.commands import Command
from tests.support.books import adjust, charge, close, expire, freeze, release, reverse, unfreeze
from tests.support.chat import ANN, CHEAP, CREDIT, World

DAY = 86_400_000


def settled(world: World) -> None:
    """Whatever happened: once all that was held is over, nothing is held, nothing is below zero, the chain is whole."""
    world.clock.advance(DAY)
    with suppress(DomainError):
        world.ledger.execute(ANN, expire())
    balance = world.ledger.balance(ANN)
    assert world.ledger.verify(ANN) == []
    assert balance.held == 0
    assert balance.available >= 0
    entries = world.ledger.entries(ANN, 1, balance.seq)
    assert min(min(entry.balance_after, entry.held_after) for entry in entries) >= 0


def the_hold(world: World) -> str:
    entries = world.ledger.entries(ANN, 1, world.ledger.balance(ANN).seq)
    return next((entry.hold for entry in entries if entry.kind == "hold" and entry.hold), "none")


def does(*commands: Callable[[World], Command]) -> Callable[[World], None]:
    def act(world: World) -> None:
        for command in commands:
            with suppress(DomainError):
                world.ledger.execute(ANN, command(world))

    return act


def later(millis: int) -> Callable[[World], None]:
    return lambda world: world.clock.advance(millis)


def deleted(world: World) -> None:
    for conversation in world.conversations.list(ANN).items:
        world.conversations.delete(ANN, conversation.id)


def repriced(world: World, **fields: str | bool) -> None:
    world.catalogue.put("cheap", {**CHEAP, **fields})


INTERRUPTIONS: dict[str, Callable[[World], None]] = {
    "the account is frozen": does(lambda _: freeze()),
    "the account is frozen and opened": does(lambda _: freeze(), lambda _: unfreeze()),
    "the user leaves": does(lambda _: close()),
    "an operator takes all that is left": does(lambda world: adjust(-world.ledger.balance(ANN).available)),
    "the purchase is taken back": does(lambda world: reverse(world.ledger.balance(ANN).lots[0].id, CREDIT)),
    "somebody spends all the rest": does(lambda world: charge(world.ledger.balance(ANN).available)),
    "somebody releases the hold": does(lambda world: release(the_hold(world))),
    "the hold's time is up": later(DAY),
    "half of the hold's time is over": later(500_000),
    "the clock is set back": later(-DAY),
    "the model is a thousand times dearer": lambda world: repriced(world, output_usd_per_mtok="2000"),
    "the model is free": lambda world: repriced(world, output_usd_per_mtok="0", input_usd_per_mtok="0"),
    "the model is switched off": lambda world: repriced(world, is_enabled=False),
    "the conversation is deleted": deleted,
}

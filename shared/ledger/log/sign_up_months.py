"""Months of sign-up, which the figures remember for each account."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from shared.kernel.ids import Uid
from shared.ledger.log.position import LogPosition
from shared.ledger.log.rounds import Visit


class SignUpMonths(Protocol):
    """Reader of the months in which users signed up."""

    def months_of(self, uids: Sequence[Uid]) -> Mapping[Uid, str]:
        """Return the month of each user, `2026-11`; "" for a user who is unknown or has left."""
        ...


class NoSignUps:
    """Reader for a ledger without users."""

    def months_of(self, uids: Sequence[Uid]) -> Mapping[Uid, str]:
        """Return no month."""
        return dict.fromkeys(uids, "")


def positions_to_count(
    visits: Sequence[Visit], positions: Mapping[Uid, LogPosition], generation: int
) -> list[LogPosition]:
    """Return the positions of the accounts whose new entries the sequencer counts in this round."""
    moving = [
        positions[visit.uid] for visit in visits if visit.uid in positions and visit.seq > positions[visit.uid].seq
    ]
    return [each for each in moving if each.figured.at(generation).seq == each.seq]


def with_sign_ups(sign_ups: SignUpMonths, positions: Sequence[LogPosition]) -> list[LogPosition]:
    """Return the positions with the months of sign-up. Each account is looked up once in its life."""
    unknown = [position.uid for position in positions if position.figured.signed_up is None]
    months = sign_ups.months_of(unknown) if unknown else {}
    return [
        replace(each, figured=replace(each.figured, signed_up=months[each.uid])) if each.uid in months else each
        for each in positions
    ]

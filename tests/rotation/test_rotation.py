"""A rotation of the signing key while eight writers run and sequencers die. `make rotation` is the long form."""

from tests.rotation.dormant import names, put_to_sleep, wake
from tests.rotation.sequencers import SequencerStorm
from tests.rotation.storm import LeapingClock, RotationStorm
from tests.support.rotations import Fleet

OPERATIONS = 600
DORMANT = 20
EVERY_KIND = {
    "grant",
    "refund",
    "charge",
    "expiry",
    "reversal",
    "adjustment",
    "hold",
    "extension",
    "release",
    "status",
}


def test_nobody_notices_a_rotation_while_writers_run_and_sequencers_die():
    fleet = Fleet(clock=LeapingClock())
    storm = RotationStorm(fleet, seed=1)
    sleepers = names(DORMANT)
    put_to_sleep(fleet.deploy(*storm.keys, marks=""), sleepers)

    sequencers = SequencerStorm(storm)
    with sequencers.raging():
        outcome = storm.run(OPERATIONS)

    assert (outcome.failures, sequencers.failures) == ([], [])
    assert storm.alarms() == []
    assert storm.broken() == []
    assert storm.kinds() == EVERY_KIND
    assert [wrong for uid in sleepers for wrong in wake(storm.instances[0], uid)] == []
    assert sequencers.finish() > OPERATIONS // 4
    assert sequencers.deaths > 0

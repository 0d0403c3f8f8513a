"""Figures on Firestore: counted with the log, counted again beside it, read, and compared with the books."""

import random
from datetime import date

from shared.ledger.log.figure_count import FigureCount
from shared.ledger.log.figure_reader import FigureReader
from shared.platform.firestore.documents import connect
from shared.sagas.accounts.figure_sweep import FigureSweep
from shared.sagas.engine.jobs import JobRun
from tests.support.figures import Platform, naive, told
from tests.unit.ledger.log.test_figures import JOURNALS, UIDS

FIRST, LAST = date(2026, 8, 1), date(2027, 7, 31)


def test_figures_equal_the_journals_on_firestore(firestore_emulator, project):
    documents = connect(project)
    platform, dice = Platform(store=documents, journals=JOURNALS), random.Random(5)
    for _ in range(11):
        platform.live(dice.choice(UIDS), 25)
        platform.round()

    period = FigureReader(documents).days(FIRST, LAST)
    assert period.is_whole
    assert told(period.days) == naive(platform.lived)

    FigureCount(documents, platform).begin_again()
    platform.live(UIDS[0], 10)
    platform.round()
    FigureSweep(documents, platform.alerts, FigureCount(documents, platform)).sweep(JobRun("", platform.clock, 60.0))

    again = FigureReader(documents).days(FIRST, LAST)
    assert again.is_whole
    assert told(again.days) == naive(platform.lived)
    assert platform.alerts.raised == []

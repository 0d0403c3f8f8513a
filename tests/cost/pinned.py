"""Tables of the pinned costs of units, and of the pinned counts by size of laws: `python -m tests.cost pin`."""

from collections.abc import Mapping, Sequence

from tests.cost.metering import COLUMNS, Cost

TABLE = """
unit                    reads  writes  deletes  invocations  messages  trips  calls   kept  expiring  bytes
chat_turn                  19      16        2            3         2     23      0      2         1   2185
chat_turn_elsewhere        22      16        2            3         2     26      0      2         1   2185
chat_turn_fresh            27      16        2            3         2     28      0      2         1   2185
chat_turn_100              22      16        2            3         2     26      0      2         1   2187
chat_turn_1000             22      16        2            3         2     26      0      2         1   2187
chat_turn_streamed         19      16        2            3         2     23      0      2         1   2185
chat_turn_keyed            19      19        2            3         2     24      0      5         0   3947
openai_call              16.6      14        2            3         2   22.6      0      2         1   2204
openai_call_keyed        16.6      18        2            3         2   23.6      0      5         1   3969
openai_response_stored   16.6      16        2            3         2   22.6      0      2         2   2204
embedding                 8.6       7        1            2         1   11.6      0      1         0   1072
image                      27      25        2            4         3   34.2      0      7         0   5148
agent_tool               16.4    22.4      0.2          2.2       2.2   12.4      0     10         0   5526
purchase_stripe            44      22        1            4         1     32      2      5         1   3966
purchase_paypal            44      23        1            4         1     33      4      5         1   3893
abandoned_stripe          203     534        0            4         0    540    175      6         1   3087
abandoned_paypal          202     531        0            2         0    536    175      5         0   2891
idle_minute                12       2        0            1         0     14      0      0         0      0
crypto_network              5     0.6        0            0         0    4.4      0      0         0      0
balance                     2       0        0            1         0      1      0      0         0      0
history                    72       0        0            1         0      3      0      0         0      0
analytics                  10       0        0            1         0      6      0      0         0      0
reservation                16      16        2            4         2     22      0      5         0   3494
sign_up                    20      14        1            4         1     26      0      9         0   3295
"""


GROWTH = """
history_page                93         93         93         93
history_of_kind              5         22         22         22
export                    1.06          1          1          1
verify                    1.06          1          1          1
audit                     1.14       1.01          1          1
audit_again                111        510        510        510
delete_conversation       0.07       0.02       0.01          0
leave                     1.55       0.47       0.08       0.08
agent_steps                2.1        7.5       15.6
charge                    2425       6768       6770
"""


def pinned() -> Mapping[str, Cost]:
    """Return the pinned costs by unit. Raises ValueError for a table with other columns."""
    titles, *rows = [line.split() for line in TABLE.strip().splitlines()]
    if titles != ["unit", *COLUMNS]:
        raise ValueError(f"The columns of the table are not {COLUMNS}.")
    return {name: Cost(**dict(zip(COLUMNS, map(float, numbers), strict=True))) for name, *numbers in rows}


def pinned_growth() -> Mapping[str, Sequence[float]]:
    """Return the pinned counts by law, one for each size."""
    rows = [line.split() for line in GROWTH.strip().splitlines()]
    return {name: [float(count) for count in counts] for name, *counts in rows}

"""Tables of the pinned costs of units, and of the pinned counts by size of laws: `python -m tests.cost pin`."""

from collections.abc import Mapping, Sequence

from tests.cost.metering import COLUMNS, Cost

TABLE = """
unit                    reads  writes  deletes  invocations  messages  trips  calls   kept  expiring  bytes
chat_turn                   5      14        0            3         2      9      0      2         1   1963
chat_turn_elsewhere         8      14        0            3         2     12      0      2         1   1963
chat_turn_fresh            15      14        0            3         2     16      0      2         1   1963
chat_turn_100               8      14        0            3         2     12      0      2         1   1965
chat_turn_1000              8      14        0            3         2     12      0      2         1   1965
chat_turn_streamed          5      14        0            3         2      9      0      2         1   1963
chat_turn_keyed             5      17        0            3         2     10      0      5         0   3725
openai_call               4.2      12        0            3         2    8.2      0      2         1   1996
openai_call_keyed         4.2      16        0            3         2    9.2      0      5         1   3761
openai_response_stored    4.2      14        0            3         2    8.2      0      2         2   1996
embedding                 3.2       8        0            3         1    7.2      0      1         0    976
image                      15      23        0            4         3   20.2      0      7         0   4915
agent_tool                  3    10.4        0          0.6       0.6    6.2      0    3.8         0   2217
purchase_stripe            14      15        0            5         1     20      2    4.2         1   3494
purchase_paypal            14      15        0            5         1     20      4    4.2         1   3421
abandoned_stripe            5       8        0            3         0     10      2      3         1   2035
abandoned_paypal           18      10        0            1         0     89      8      8         2   4363
idle_minute               8.2       2        0            1         1    9.9      0      0         0      0
idle_minute_crypto       13.2     2.2        0            1         1     14      0      0         0      0
crypto_network              3       1        0            0         0      3      0      0         0      0
balance                     2       0        0            1         0      1      0      0         0      0
history                    22       0        0            1         0      3      0      0         0      0
proof                       7       0        0            1         0      3      0      0         0      0
analytics                  11       0        0            1         0      7      0      0         0      0
reservation               6.2      18        0            6         2   14.2      0      5         0   3288
sign_up                    17      15        0            5         1     23      0      9         0   3356
"""


GROWTH = """
history_page                22         22         22         22
history_of_kind              4          4          4          4
history_of_key              22         22         22         22
history_of_object            4          4          4          4
export                    1.58        1.5        1.5        1.5
verify                    1.59        1.5        1.5        1.5
audit                     2.64       2.51        2.5        2.5
audit_again               1.87       0.33       0.07       0.04
delete_conversation       0.07       0.02          0          0
leave                     4.04       1.19        0.1       0.03
agent_steps                  0          0        0.1
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

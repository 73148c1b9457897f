"""How many requests it takes to read a list, and how many seconds, by the time that two of its pages took.

Keep out: asking for them (`trial`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gazelle_sync.gazelle.page_size import PageSize

# Requests: the first page of the whole list, and its parts counted before and after.
AROUND_PARTS = 3


class Cost(NamedTuple):
    """What a read costs."""

    requests: int
    seconds: float

    def __add__(self, other: object) -> Cost:
        assert isinstance(other, Cost)
        return Cost(self.requests + other.requests, self.seconds + other.seconds)


class Speed(NamedTuple):
    """What an answer takes: `latency` seconds, and `each` seconds for every record on its page.

    `pause` is how many seconds lie between two requests at least.
    """

    latency: float
    each: float
    pause: float

    def cost(self, records: int) -> Cost:
        """Of one page. The next request does not wait for the rate limit longer than for the answer."""
        return Cost(1, max(self.answer(records), self.pause))

    def answer(self, records: int) -> float:
        return self.latency + records * self.each


def measure(one: float, page: float, served: int, per_second: float) -> Speed:
    """The speed of a list: a page of one record took `one` seconds, one of `served` records took `page`."""
    each = max(page - one, 0.0) / (served - 1) if served > 1 else 0.0
    return Speed(max(one - each, 0.0), each, 1 / per_second)


def estimate(records: int, size: PageSize, speed: Speed, cap: int | None = None) -> Cost:
    """What it costs to read a list to its end, one page after the other:

        Σ over pages of max(latency + records on the page × seconds a record, 1 ÷ requests a second)

    The size of the pages is what `size` makes of such answers: it grows while they come quickly, as in a sync. `cap` is
    the most that is served whatever is asked for. Each page begins with the last record of the one before. What is
    asked for by id, and a list that shifts, come on top.
    """
    cost, left = Cost(0, 0.0), records
    while True:
        asked = size.first
        served = min(asked, cap or asked, left)
        cost += speed.cost(served)
        left -= served
        if left <= 0:
            return cost
        # The record that the next page begins with; of a page of one record, there is no overlap.
        left += served > 1
        size.note(asked, served, speed.answer(served))


def estimate_parts(counts: Sequence[int], size: PageSize, speed: Speed, at_once: int, cap: int | None = None) -> Cost:
    """What it costs to read a list in parts of so many records each, `at_once` of them under way, the longest first:

    the longest of their turns, and never less than requests ÷ requests a second
    """
    free = speed._replace(pause=0.0)
    turns = [0.0] * at_once
    requests = AROUND_PARTS
    for count in counts:
        part = estimate(count, size, free, cap)
        requests += part.requests
        turns[turns.index(min(turns))] += part.seconds
    around = AROUND_PARTS * free.latency
    return Cost(requests, max(around + max(turns), requests * speed.pause))

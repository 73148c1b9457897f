"""How many records a page is asked for: more while answers come quickly, less when they don't come.

Keep out: where sizes are remembered (`warehouse`), and what is asked (`query`).
"""

from __future__ import annotations

from collections.abc import Mapping

from gazelle_sync.tables.declaration import Sizes

# Seconds. An answer that takes twice as long is still far from every timeout.
QUICK = 2.0
# Full pages, after which a size that may only have met an outage is tried again; twice as many each time.
PROBATION = 5


class PageSize:
    """The size of the pages of one list, and of the lists that are in each of its records.

    `start` is what is asked for at first, `most` the greatest size of a page. `used` has every size that was asked for,
    in its order. Several threads may use it at once: each step is decided by an answer to the size as it stands.
    """

    def __init__(self, start: Sizes, most: int) -> None:
        self.first = min(start.first, most)
        self.nested = start.nested
        self.refused = start.refused
        self.used: list[int] = []
        self.most = most
        # The least size that failed for a reason that may have been another one.
        self._doubtful: int | None = None
        self._probation = PROBATION
        self._good = 0

    def variables(self) -> dict[str, object]:
        """The variables of the queries that `query` makes."""
        if self.first not in self.used:
            self.used.append(self.first)
        return {"first": self.first, **({"nested": self.nested} if self.nested else {})}

    def remembered(self) -> Sizes:
        """What the next read may start with."""
        return Sizes(self.first, self.nested, self.refused)

    def shrink(self, certain: bool, sent: Mapping[str, object] | None = None) -> bool:
        """Asks for half as much from now on; False when it can't be less. The outer page gives way first.

        `certain` says that the size was surely the reason, and will be tomorrow. `sent` are the variables that failed:
        of several requests under way at once, another may have been told already.
        """
        first, nested = (sent.get(name) for name in ("first", "nested")) if sent else (None, None)
        if (isinstance(first, int) and first > self.first) or (isinstance(nested, int) and nested > self.nested):
            return True
        if isinstance(first, int):
            # It may have grown since.
            self.first = first
        if self.first > 1:
            if certain:
                self.refused = min(self.first, self.refused or self.first)
            else:
                self._doubtful, self._good, self._probation = self.first, 0, 2 * self._probation
            self.first //= 2
        elif self.nested > 1:
            self.nested //= 2
        else:
            return False
        return True

    def note(self, asked: int, served: int, seconds: float) -> None:
        """After a page that is not the last: asks for twice as much, if it was full and came quickly."""
        if asked != self.first or served < asked or seconds > QUICK:
            return
        self._good += 1
        if self._doubtful is not None and self._good >= self._probation:
            self._doubtful = None
        # Half of what failed was served; what lies between would fail as likely as not.
        bounds = [self.most, *(size // 2 for size in (self.refused, self._doubtful) if size)]
        twice = min(2 * self.first, *bounds)
        if self.first < twice:
            self.first = twice
            self._good = 0

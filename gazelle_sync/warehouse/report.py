"""What a load did. Keep out: how it is done (`load`), and where it is written down (`sync_log`)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class LoadReport:
    """What a load did. `rows` is how many live rows the table has now; `seconds` includes reading.

    `filled` rows only got values of columns that are new in the table. `proved` says whether what was read is all that
    there was; `refused`, that Gazelle did not let us read the table, which may be so.
    `version` is the id of the run that last changed the rows which this load speaks for: it changes when they do.
    `held_back` has the records that are gone, and are more than may go at once.
    `page_sizes` has every size of a page that was asked for, in its order.
    """

    table: str
    scope: str
    fetched: int = 0
    expected: int = 0
    inserted: int = 0
    updated: int = 0
    filled: int = 0
    unchanged: int = 0
    deleted: int = 0
    restored: int = 0
    rejected: int = 0
    api_requests: int = 0
    api_retries: int = 0
    rows: int = 0
    seconds: float = 0.0
    proved: bool = True
    version: str = "-"
    page_sizes: list[int] = field(default_factory=list)
    refused: bool = False
    held_back: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def has_changed(self) -> bool:
        """Whether it left anything in `row_changes`, or might have: what a table is first filled with is not there."""
        return any((self.inserted, self.updated, self.deleted, self.restored))

    @property
    def status(self) -> str:
        return "warning" if self.warnings else "success"

    def __str__(self) -> str:
        requests = "1 request" if self.api_requests == 1 else f"{self.api_requests} requests"
        return (
            f"{self.table}: {self.fetched} fetched, {self.inserted} inserted, {self.updated} updated, "
            f"{self.filled} filled, {self.unchanged} unchanged, {self.deleted} deleted, {self.restored} restored, "
            f"{self.rejected} rejected, {requests}, {self.seconds:.1f} s"
        )

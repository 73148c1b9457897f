"""What went wrong, as whoever noticed it says it. Keep out: how it is worded (`wording`), who is told (`outbox`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Kind(Enum):
    """What kind of thing went wrong: the wording, and what to do, follow from it. The values are in the state file."""

    RUN_FAILED = "run_failed"
    RUN_HUNG = "run_hung"
    BACKFILL_FAILED = "backfill_failed"
    CHECK_FAILED = "check_failed"
    TABLE_STALE = "table_stale"
    NOT_SENT = "not_sent"  # alerts don't get through on one channel: said on the others
    RECORD_LOST = "record_lost"  # Dagster's record of a run could not be read
    STATE_LOST = "state_lost"  # the file that remembers the alerts could not be read


@dataclass(frozen=True)
class Incident:
    """Something that is wrong, until it is said to be well again.

    `key` is what it is about (`run:sync`, `check:gazelle/pianos:parents_known`): while it is open, nothing more is
    said about that key. `about` names the table, job or check for a person, and `why` is the reason in one line;
    both may be of any length and hold line breaks, and are cut where they are worded. `since` is aware: a naive
    one raises `ValueError`.
    """

    kind: Kind
    key: str
    about: str
    since: datetime
    why: str
    link: str | None = None

    def __post_init__(self) -> None:
        if self.since.tzinfo is None:
            raise ValueError(f"The incident {self.key} needs a time with a zone; {self.since} has none.")

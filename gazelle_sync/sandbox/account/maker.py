"""What every part of the account is made with: one seeded generator, and the small things that all parts need."""

from __future__ import annotations

import string
from datetime import date, datetime, time, timedelta, timezone
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gazelle_sync.sandbox.account.kinds import BLANKS, ID_PREFIXES, Record

if TYPE_CHECKING:
    from gazelle_sync.sandbox.account import Account


class Maker:
    """Fills an account from one seeded generator. The order of the calls is part of what makes it repeatable."""

    def __init__(self, account: Account, today: date, seed: int | str) -> None:
        self.account = account
        self.today = today
        self.seed = seed
        self.rng = Random(f"{today}/{seed}")
        self.zone = ZoneInfo(account.timezone)
        self.opened = datetime(2017, 1, 3, 14, tzinfo=timezone.utc)
        self.now = datetime.combine(today, time(12), timezone.utc)
        self.pianos_of: dict[str, list[str]] = {}

    def aside(self, part: str) -> Maker:
        """A maker of the same account with a generator of its own: what it adds changes nothing else."""
        other = Maker(self.account, self.today, f"{self.seed}/{part}")
        other.pianos_of = self.pianos_of
        return other

    @property
    def technicians(self) -> list[str]:
        return list(self.account.users)

    def id(self, prefix: str) -> str:
        return prefix + "".join(self.rng.choices(string.ascii_letters + string.digits, k=16))

    def put(self, kind: str, record: Record, prefix: str | None = None) -> Record:
        blank = {key: list(value) if isinstance(value, list) else value for key, value in BLANKS[kind].items()}
        whole = {"id": self.id(prefix or ID_PREFIXES[kind]), **blank, **record}
        self.account.records(kind)[whole["id"]] = whole
        return whole

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def moment(self, start: datetime, end: datetime) -> datetime:
        return start + timedelta(seconds=self.rng.randrange(max(1, int((end - start).total_seconds()))))

    def iso(self, moment: datetime) -> str:
        """UTC with Z as a rule, at times with an offset, as Gazelle sends them."""
        if self.chance(0.05):
            return moment.astimezone(self.zone).isoformat(timespec="seconds")
        return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def stamps(self, created: datetime | None = None) -> Record:
        created = created or self.moment(self.opened, self.now - timedelta(days=1))
        return {"createdAt": self.iso(created), "updatedAt": self.iso(self.moment(created, self.now))}

    def day(self, days_back: int) -> str:
        return str(self.today - timedelta(days=self.rng.randrange(days_back)))

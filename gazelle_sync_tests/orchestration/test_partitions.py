"""Which months there are, and which of them a run is for."""

from __future__ import annotations

from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from dagster import MonthlyPartitionsDefinition

from gazelle_sync.partitions import months, range_of_days, rolling_range, whole_range
from gazelle_sync_tests.conftest import NOW, TORONTO


@pytest.fixture(scope="module")
def all_months() -> MonthlyPartitionsDefinition:
    return months(date(2017, 1, 1), TORONTO)


def test_there_is_a_month_for_all_history_and_24_ahead(all_months: MonthlyPartitionsDefinition) -> None:
    keys = all_months.get_partition_keys()
    assert keys[0] == "2017-01-01"
    last = NOW.year * 12 + NOW.month - 1 + 24
    assert keys[-1] == f"{last // 12}-{last % 12 + 1:02}-01"
    assert len(keys) == last - 2017 * 12 + 1


def test_history_that_begins_within_a_month_begins_with_that_month() -> None:
    assert months(date(2024, 5, 17), TORONTO).get_first_partition_key() == "2024-05-01"


def test_a_history_that_begins_this_month_has_25_months() -> None:
    assert len(months(NOW, TORONTO).get_partition_keys()) == 25


def test_a_month_begins_at_midnight_of_the_company_s_zone(all_months: MonthlyPartitionsDefinition) -> None:
    window = all_months.time_window_for_partition_key("2026-03-01")
    assert window.start.astimezone(timezone.utc) == datetime(2026, 3, 1, 5, tzinfo=timezone.utc)
    # The clocks have changed meanwhile.
    assert window.end.astimezone(timezone.utc) == datetime(2026, 4, 1, 4, tzinfo=timezone.utc)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_months_are_those_of_the_zone_wherever_it_is(zone: str) -> None:
    there = datetime.now(ZoneInfo(zone)).date()
    last = there.year * 12 + there.month - 1 + 24
    assert months(date(2017, 1, 1), ZoneInfo(zone)).get_last_partition_key() == f"{last // 12}-{last % 12 + 1:02}-01"


@pytest.mark.parametrize(
    ("first", "last", "keys"),
    [
        (date(2026, 3, 16), date(2026, 3, 16), ("2026-03-01", "2026-03-01")),
        (date(2026, 3, 31), date(2026, 4, 1), ("2026-03-01", "2026-04-01")),
        (date(1999, 1, 1), date(2017, 1, 31), ("2017-01-01", "2017-01-01")),
    ],
)
def test_days_stand_for_the_months_that_they_fall_in(
    all_months: MonthlyPartitionsDefinition, first: date, last: date, keys: tuple[str, str]
) -> None:
    found = range_of_days(all_months, first, last)
    assert (found.start, found.end) == keys


@pytest.mark.parametrize(
    ("today", "covered", "keys"),
    [
        # 60 days back, 18 months ahead.
        (date(2026, 3, 16), date(2026, 3, 15), ("2026-01-01", "2027-09-01")),
        (date(2026, 3, 16), date(2026, 3, 16), ("2026-01-01", "2027-09-01")),
        (date(2025, 12, 31), date(2025, 12, 30), ("2025-10-01", "2027-06-01")),
        (date(2026, 7, 1), date(2026, 6, 30), ("2026-05-01", "2028-01-01")),
        # Down for three months: 60 days before that.
        (date(2026, 3, 16), date(2025, 12, 16), ("2025-10-01", "2027-09-01")),
        # A clock that was ahead does not shorten it.
        (date(2026, 3, 16), date(2027, 1, 1), ("2026-01-01", "2027-09-01")),
        # Not beyond all history.
        (date(2026, 3, 16), date(2017, 1, 20), ("2017-01-01", "2027-09-01")),
    ],
)
def test_the_rolling_range_reaches_60_days_behind_the_last_run_and_18_months_ahead(
    all_months: MonthlyPartitionsDefinition, today: date, covered: date, keys: tuple[str, str]
) -> None:
    found = rolling_range(all_months, today, covered)
    assert (found.start, found.end) == keys


def test_what_was_never_read_whole_is_read_whole(all_months: MonthlyPartitionsDefinition) -> None:
    assert rolling_range(all_months, NOW, None) == whole_range(all_months)

"""Which months there are, and which of them a run is for."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dagster import MonthlyPartitionsDefinition, PartitionKeyRange

from gazelle_sync.partitions import (
    AGREED,
    LEAST_MONTHS_AHEAD,
    MONTHS_AHEAD,
    ROLLING_MONTHS_AHEAD,
    days_in,
    due_range,
    find_months_ahead,
    months,
    months_later,
    note_last_day,
    range_of_days,
    whole_range,
    widest,
)
from gazelle_sync.warehouse import Coverage, Reading
from gazelle_sync_tests.conftest import NOW, TORONTO


@pytest.fixture(scope="module")
def all_months() -> MonthlyPartitionsDefinition:
    return months(date(2017, 1, 1), TORONTO, 24)


def test_there_is_a_month_for_all_history_and_as_many_ahead_as_asked(
    all_months: MonthlyPartitionsDefinition,
) -> None:
    keys = all_months.get_partition_keys()
    assert keys[0] == "2017-01-01"
    last = NOW.year * 12 + NOW.month - 1 + 24
    assert keys[-1] == f"{last // 12}-{last % 12 + 1:02}-01"
    assert len(keys) == last - 2017 * 12 + 1


def test_history_that_begins_within_a_month_begins_with_that_month() -> None:
    assert months(date(2024, 5, 17), TORONTO).get_first_partition_key() == "2024-05-01"


def test_a_history_that_begins_this_month_has_this_one_and_those_ahead() -> None:
    assert len(months(NOW, TORONTO, 5).get_partition_keys()) == 6


def test_a_month_begins_at_midnight_of_the_company_s_zone(all_months: MonthlyPartitionsDefinition) -> None:
    window = all_months.time_window_for_partition_key("2026-03-01")
    assert window.start.astimezone(timezone.utc) == datetime(2026, 3, 1, 5, tzinfo=timezone.utc)
    # The clocks have changed meanwhile.
    assert window.end.astimezone(timezone.utc) == datetime(2026, 4, 1, 4, tzinfo=timezone.utc)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_months_are_those_of_the_zone_wherever_it_is(zone: str) -> None:
    there = datetime.now(ZoneInfo(zone)).date()
    last = there.year * 12 + there.month - 1 + 24
    found = months(date(2017, 1, 1), ZoneInfo(zone), 24)
    assert found.get_last_partition_key() == f"{last // 12}-{last % 12 + 1:02}-01"


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


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 7, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("today", "read", "keys"),
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
def test_what_is_due_reaches_60_days_behind_the_last_run_and_18_months_ahead(
    all_months: MonthlyPartitionsDefinition, today: date, read: date, keys: tuple[str, str]
) -> None:
    found = due_range(all_months, today, Coverage([Reading(date.min, date.max, at(read))]))
    assert (found.start, found.end) == keys


TODAY = date(2026, 3, 16)
WHOLE = Reading(date.min, date.max, at(date(2025, 12, 6)))  # a hundred days before


@pytest.mark.parametrize(
    ("readings", "start"),
    [
        # This month, or a month in the gap, was read since: the gap is still one.
        ([WHOLE, Reading(date(2026, 3, 1), date(2026, 4, 1), at(TODAY))], "2025-10-01"),
        ([WHOLE, Reading(date(2025, 12, 1), date(2026, 1, 1), at(TODAY))], "2025-10-01"),
        # What was read from the gap on closes it, in one piece or in several.
        ([WHOLE, Reading(date(2025, 10, 1), date(2027, 1, 1), at(TODAY))], "2026-01-01"),
        (
            [
                WHOLE,
                Reading(date(2025, 10, 1), date(2025, 12, 1), at(TODAY)),
                Reading(date(2025, 12, 1), date(2026, 2, 1), at(TODAY)),
            ],
            "2026-01-01",
        ),
        # Read, but so soon that corrections were still to come.
        ([WHOLE, Reading(date(2025, 10, 1), date(2026, 1, 1), at(date(2026, 2, 1)))], "2025-12-01"),
        # Also what could not be proved whole was read; it is for the weekly run to prove it.
        ([Reading(date.min, date.max, at(TODAY), proved=False)], "2026-01-01"),
    ],
)
def test_a_gap_is_read_again_from_its_first_month_on(
    all_months: MonthlyPartitionsDefinition, readings: list[Reading], start: str
) -> None:
    found = due_range(all_months, TODAY, Coverage(readings))
    assert (found.start, found.end) == (start, "2027-09-01")


@pytest.mark.parametrize("readings", [[], [Reading(date(2026, 3, 1), date(2026, 4, 1), at(TODAY))]])
def test_what_was_never_read_from_its_beginning_is_read_whole(
    all_months: MonthlyPartitionsDefinition, readings: list[Reading]
) -> None:
    assert due_range(all_months, NOW, Coverage(readings)) == whole_range(all_months)


def test_where_the_log_can_t_be_asked_the_usual_months_are_due(all_months: MonthlyPartitionsDefinition) -> None:
    found = due_range(all_months, TODAY, None)
    assert (found.start, found.end) == ("2026-01-01", "2027-09-01")


def test_the_widest_of_several_ranges_holds_them_all(all_months: MonthlyPartitionsDefinition) -> None:
    ranges = [range_of_days(all_months, date(2026, 3, 1), TODAY), range_of_days(all_months, date(2025, 3, 1), TODAY)]
    assert (widest(ranges).start, widest(ranges).end) == ("2025-03-01", "2026-03-01")


# -- how far ahead ----------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process whose parent has agreed on nothing."""
    monkeypatch.setenv(AGREED, "")
    monkeypatch.delenv(AGREED)
    return monkeypatch


@pytest.mark.parametrize(
    ("last", "ahead"),
    [
        (date(2026, 11, 2), 8),
        (date(2027, 3, 31), 12),
        # The hourly run needs this month and two more, whatever is booked.
        (date(2026, 3, 1), LEAST_MONTHS_AHEAD),
        (date(2021, 1, 1), LEAST_MONTHS_AHEAD),
        # What somebody typed wrongly.
        (date(2206, 11, 2), ROLLING_MONTHS_AHEAD),
    ],
)
def test_there_are_months_as_far_as_records_are(
    alone: pytest.MonkeyPatch, tmp_path: Path, last: date, ahead: int
) -> None:
    note_last_day(tmp_path / "days", "timeline_entries", date(2020, 1, 1))
    note_last_day(tmp_path / "days", "appointments", last)
    assert find_months_ahead(tmp_path / "days", TODAY) == ahead


@pytest.mark.parametrize("noted", ["", "soon", "2026-13-01", None])
def test_where_nothing_usable_was_noted_there_is_a_year(
    alone: pytest.MonkeyPatch, tmp_path: Path, noted: str | None
) -> None:
    if noted is not None:
        (tmp_path / "appointments").write_text(noted)
    assert find_months_ahead(tmp_path if noted is not None else tmp_path / "none", TODAY) == MONTHS_AHEAD


def test_processes_that_share_runs_agree_on_the_months_whatever_was_noted_since(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    note_last_day(tmp_path, "appointments", date(2026, 9, 1))
    assert find_months_ahead(tmp_path, TODAY) == 6
    note_last_day(tmp_path, "appointments", date(2027, 2, 1))
    assert find_months_ahead(tmp_path, TODAY) == 6


@pytest.mark.parametrize("first", ["2017-02-01", "last"])
def test_the_last_month_stands_for_what_lies_further_ahead(first: str) -> None:
    few = months(date(2017, 1, 1), TORONTO, 5)
    whole = whole_range(few)
    chosen = PartitionKeyRange(whole.end if first == "last" else first, whole.end)
    assert days_in(few, chosen) == (date.fromisoformat(chosen.start), months_later(NOW, ROLLING_MONTHS_AHEAD + 1))
    assert days_in(few, whole) is None
    # Any other stands for itself.
    assert days_in(few, PartitionKeyRange("2017-02-01", "2017-03-01")) == (date(2017, 2, 1), date(2017, 4, 1))

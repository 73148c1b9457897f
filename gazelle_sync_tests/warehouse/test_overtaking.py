"""Several processes read one table at the same time: in whatever order they are done, what is newer stands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import date

import pytest

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.warehouse.canned import Canned, clients


class Process:
    """A process that loads one step at a time, see `steps`."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def begin(self, run, rows, table="clients", **order) -> None:
        """Returns once it has begun to read."""
        self._tell(json.dumps({"run": run, "table": table, "rows": rows, **order}))
        assert self._hear() == "reading"

    def go_on(self):
        """Returns with the next step, or with the report."""
        self._tell("")
        said = self._hear()
        return said if said in ("reading", "asking") else json.loads(said)

    def end(self):
        """Goes on to the end, and returns with the report."""
        said = self.go_on()
        return self.end() if isinstance(said, str) else said

    def _tell(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        return self._process.stdout.readline().strip()


@contextmanager
def start_process(url):
    with subprocess.Popen(
        [sys.executable, "-m", "gazelle_sync_tests.warehouse.steps", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Process(process)
        finally:
            process.stdin.close()
            process.kill()


@pytest.fixture(scope="module")
def processes(database_url):
    with ExitStack() as stack:
        yield [stack.enter_context(start_process(database_url)) for _ in range(2)]


@pytest.fixture
def early(processes):
    return processes[0]


@pytest.fixture
def late(processes):
    return processes[1]


@pytest.fixture
def load(engine):
    """Loads in this process, before the others begin."""
    return lambda rows, table="clients": warehouse.load(engine, Canned(TABLES[table], rows), run_id="before")


@pytest.fixture
def stored(rows):
    return lambda table="clients": {
        row["external_id"]: "gone" if row["gone"] else row["status"]
        for row in rows(f"SELECT external_id, status, deleted_at IS NOT NULL AS gone FROM gazelle.{table}")
    }


ONE, TWO, THREE = (clients([n], status="OLD")[0] for n in (1, 2, 3))
NEW_TWO = clients([2], status="NEW")[0]

# Before, what the early one reads, what the late one reads, and what is right in the end.
HAPPENINGS = {
    "a value changed": ([ONE, TWO], [ONE, TWO], [ONE, NEW_TWO], {"cli_0001": "OLD", "cli_0002": "NEW"}),
    "and changed back": ([ONE, TWO], [ONE, NEW_TWO], [ONE, TWO], {"cli_0001": "OLD", "cli_0002": "OLD"}),
    "a record was deleted": ([ONE, TWO], [ONE, TWO], [ONE], {"cli_0001": "OLD", "cli_0002": "gone"}),
    "a record was changed and then deleted": ([ONE, TWO], [ONE, NEW_TWO], [ONE],
                                              {"cli_0001": "OLD", "cli_0002": "gone"}),
    "a record came back": ([ONE, TWO], [ONE], [ONE, NEW_TWO], {"cli_0001": "OLD", "cli_0002": "NEW"}),
    "a record came back as it was": ([ONE, TWO], [ONE], [ONE, TWO], {"cli_0001": "OLD", "cli_0002": "OLD"}),
    "a record was new and is gone": ([ONE], [ONE, TWO], [ONE], None),
    "a record is new": ([ONE], [ONE], [ONE, TWO], {"cli_0001": "OLD", "cli_0002": "OLD"}),
    "an empty table": ([], [ONE, TWO], [ONE, NEW_TWO], {"cli_0001": "OLD", "cli_0002": "NEW"}),
}  # fmt: skip


@pytest.mark.parametrize(("before", "first", "then", "right"), HAPPENINGS.values(), ids=HAPPENINGS)
def test_who_began_to_read_earlier_and_is_done_later_writes_nothing_and_says_so(
    load, early, late, stored, rows, before, first, then, right
):
    load(before)
    early.begin("early", first)
    late.begin("late", then)
    late.end()
    after_late = stored()
    versions = rows("SELECT xmin, * FROM gazelle.clients ORDER BY id")
    report = early.end()
    assert stored() == after_late == (right or {"cli_0001": "OLD"})
    assert rows("SELECT xmin, * FROM gazelle.clients ORDER BY id") == versions
    assert rows("SELECT * FROM gazelle.row_changes WHERE run_id = 'early'") == []
    [warning] = report["warnings"]
    assert warning.startswith("overtaken: run late began to read this table later, at ")
    assert [report[name] for name in ("inserted", "updated", "deleted", "restored", "unchanged")] == [0] * 5
    [line] = rows("SELECT status, error FROM gazelle.sync_log WHERE run_id = 'early'")
    assert line == {"status": "warning", "error": warning}


@pytest.mark.parametrize(("before", "first", "then", "right"), HAPPENINGS.values(), ids=HAPPENINGS)
def test_who_began_to_read_later_and_is_done_later_stands(load, early, late, stored, before, first, then, right):
    load(before)
    early.begin("early", first)
    if early.go_on() == "asking":
        # What it asked for by id is older than what the late one reads, too.
        late.begin("late", then)
        early.end()
    else:
        late.begin("late", then)
    assert late.end()["warnings"] == []
    # It was there for a while, and it is known since when it is gone.
    assert stored() == (right or {"cli_0001": "OLD", "cli_0002": "gone"})


def test_both_begun_and_the_early_one_done_first_ends_as_the_late_one_read(load, early, late, stored):
    load([ONE, TWO, THREE])
    early.begin("early", [ONE, NEW_TWO, THREE])
    late.begin("late", [{**ONE, "status": "NEW"}, TWO, THREE])
    assert early.end()["updated"] == 1
    assert late.end()["warnings"] == []
    assert stored() == {"cli_0001": "NEW", "cli_0002": "OLD", "cli_0003": "OLD"}


def test_what_was_found_gone_by_id_after_the_late_one_began_to_read_is_not_brought_back_by_it(
    load, early, late, stored
):
    load([ONE, TWO])
    early.begin("early", [ONE])
    # This page was read before the record was deleted, and the early one asks after that.
    late.begin("late", [{**ONE, "status": "NEW"}, TWO])
    assert early.end()["deleted"] == 1
    report = late.end()
    assert stored() == {"cli_0001": "NEW", "cli_0002": "gone"}
    assert (report["updated"], report["restored"], report["unchanged"]) == (1, 0, 1)
    assert "knows 1 record better" in report["warnings"][0]


def test_of_two_states_of_a_record_that_were_read_at_the_same_time_the_one_that_gazelle_changed_later_stands(
    load, early, late, stored
):
    noon, later = "2026-03-16T12:00:00+00:00", "2026-03-16T12:05:00+00:00"
    load([ONE])
    early.begin("early", [{**ONE, "status": "LATER", "updated_at": later}])
    late.begin("late", [{**ONE, "status": "NOON", "updated_at": noon}])
    assert early.end()["updated"] == 1
    report = late.end()
    assert stored() == {"cli_0001": "LATER"}
    assert report["updated"] == 0
    assert "knows 1 record better" in report["warnings"][0]


def test_a_list_with_doubts_does_not_keep_a_whole_one_from_being_written(load, early, late, stored):
    load([ONE])
    early.begin("early", [ONE, TWO])
    late.begin("late", [ONE], doubts=["it shifted"])
    assert late.end()["proved"] is False
    assert early.end()["inserted"] == 1
    assert stored() == {"cli_0001": "OLD", "cli_0002": "OLD"}


def test_what_a_list_with_doubts_changed_is_not_changed_back(load, early, late, stored):
    load([ONE, TWO])
    early.begin("early", [{**ONE, "status": "NEW"}, {**TWO, "updated_at": "2026-03-16T12:00:00+00:00"}])
    late.begin("late", [{**NEW_TWO, "updated_at": "2026-03-16T12:05:00+00:00"}], doubts=["it shifted"])
    assert late.end()["updated"] == 1
    early.end()
    assert stored() == {"cli_0001": "NEW", "cli_0002": "NEW"}


def test_a_load_that_failed_has_overtaken_nobody(load, engine, early, stored):
    load([ONE])
    early.begin("early", [ONE, TWO])

    def fail():
        raise OSError("no disk for the spool")

    with pytest.raises(OSError, match="no disk"):
        warehouse.load(engine, Canned(TABLES["clients"], [], reading=fail), run_id="late")
    assert early.end()["inserted"] == 1


# -- scopes that overlap in part ---------------------------------------------------------------------------------------

MARCH, SPRING = ["2026-03-01", "2026-04-01"], ["2026-03-01", "2026-06-01"]


def visit(number, day, status="OLD"):
    return {"external_id": f"evt_{number}", "appointment_date": day, "status": status}


def test_of_scopes_that_overlap_in_part_each_day_is_as_who_read_it_later_has_it(load, early, late, stored):
    before = [visit(1, "2026-03-10"), visit(2, "2026-03-11"), visit(3, "2026-03-12"), visit(4, "2026-05-10"),
              visit(5, "2026-05-11"), visit(7, "2026-03-13")]  # fmt: skip
    load_dates(load, before)
    # The early one reads all, the late one March.
    early.begin(
        "early",
        [
            visit(1, "2026-03-10", "STALE"),
            visit(2, "2026-03-11"),  # deleted since
            visit(4, "2026-05-10", "NEW"),  # and 5 is gone, 3 is back since, 6 was new and is gone
            visit(6, "2026-03-20"),
            visit(7, "2026-05-20"),  # was in May for a while
            visit(8, "2026-05-21"),
        ],
        table="appointments",
    )
    late.begin(
        "late",
        [visit(1, "2026-03-10", "NEW"), visit(3, "2026-03-12"), visit(7, "2026-03-13")],
        table="appointments",
        days=MARCH,
    )
    assert late.end()["deleted"] == 1
    report = early.end()
    assert stored("appointments") == {
        "evt_1": "NEW",
        "evt_2": "gone",
        "evt_3": "OLD",
        "evt_4": "NEW",
        "evt_5": "gone",
        "evt_7": "OLD",
        "evt_8": "OLD",
    }
    assert (report["inserted"], report["updated"], report["deleted"], report["restored"]) == (1, 1, 1, 0)
    assert report["warnings"] == [
        "overtaken in part: another load of this table, done meanwhile, knows 4 records better; "
        "they stay as it stored them"
    ]


def test_a_scope_inside_one_that_was_read_later_is_overtaken_whole(load, early, late, stored):
    load_dates(load, [visit(1, "2026-03-10")])
    early.begin("early", [visit(1, "2026-03-10", "STALE")], table="appointments", days=MARCH)
    late.begin("late", [visit(1, "2026-03-10", "NEW")], table="appointments", days=SPRING)
    late.end()
    assert early.end()["warnings"][0].startswith("overtaken: run late")
    assert stored("appointments") == {"evt_1": "NEW"}


def test_months_that_are_read_side_by_side_do_not_disturb_each_other(load, early, late, stored):
    load_dates(load, [visit(1, "2026-03-10"), visit(2, "2026-05-10")])
    early.begin("early", [visit(1, "2026-03-10", "NEW")], table="appointments", days=MARCH)
    late.begin("late", [visit(2, "2026-05-10", "NEW")], table="appointments", days=["2026-05-01", "2026-06-01"])
    assert late.end()["warnings"] == early.end()["warnings"] == []
    assert stored("appointments") == {"evt_1": "NEW", "evt_2": "NEW"}


def test_pairs_without_a_date_of_their_own_belong_to_their_parents_day(load, early, late, rows):
    load_dates(load, [visit(1, "2026-03-10"), visit(2, "2026-05-10")])
    pair = {"piano_external_id": "ins_1", "is_tuning": False}
    march, may = ({**pair, "appointment_external_id": f"evt_{n}"} for n in (1, 2))
    load([march, may], "appointment_pianos")
    tuned = [{**each, "is_tuning": True} for each in (march, may)]
    early.begin("early", tuned, table="appointment_pianos")
    late.begin("late", [march], table="appointment_pianos", days=MARCH)
    assert late.end()["unchanged"] == 1
    assert early.end()["updated"] == 1
    assert rows("SELECT appointment_external_id AS visit, is_tuning FROM gazelle.appointment_pianos ORDER BY 1") == [
        {"visit": "evt_1", "is_tuning": False},
        {"visit": "evt_2", "is_tuning": True},
    ]


def load_dates(load, visits):
    load(
        [{**each, "appointment_date": date.fromisoformat(each["appointment_date"])} for each in visits], "appointments"
    )


def test_what_an_earlier_attempt_read_is_as_old_as_its_oldest_part(engine, rows):
    """Or it would take the place of what another load read meanwhile."""
    warehouse.load(engine, Canned(TABLES["clients"], [ONE], oldest=time.monotonic() - 60), run_id="again")
    [log] = rows("SELECT finished_at - started_at >= interval '60 seconds' AS is_old FROM gazelle.sync_log")
    assert log["is_old"]

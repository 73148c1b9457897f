"""Dagster's own records: what is forgotten of them, so that they do not grow for ever.

Dagster deletes rows when it is told to, and leaves the files. With a daemon a sensor asks for it; without one, each
sync does. Keep out: what the mirror's own log keeps (`warehouse`).
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

# What the plots of the UI are made of. The status page is made of `sync_log`, which keeps more.
RUNS_KEPT = timedelta(days=30)
ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def forget_old_runs(instance: DagsterInstance, now: datetime, *, limit: int = 100) -> int:
    """Deletes the runs that were made more than `RUNS_KEPT` ago, with their files: how many. `now` is aware.

    No more than `limit` at once, the oldest first: a sensor's tick has a minute.
    """
    old = instance.get_run_records(
        RunsFilter(statuses=ENDED, created_before=now - RUNS_KEPT), limit=limit, ascending=True
    )
    for record in old:
        run_id = record.dagster_run.run_id
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        shutil.rmtree(Path(instance.storage_directory()) / run_id, ignore_errors=True)
    return len(old)

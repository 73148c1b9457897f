"""Dagster's own records: which runs it calls failed, and what is forgotten of them, so that they do not grow for ever.

Dagster deletes rows when it is told to, and leaves the files. With a daemon a sensor asks for it; without one, each
sync does. Keep out: what the mirror's own log keeps (`warehouse`).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from gazelle_sync.environment.settings import Settings
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)

# What the plots of the UI are made of. The status page is made of `sync_log`, which keeps more.
RUNS_KEPT = timedelta(days=30)
ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
FAILED = ENDED[1:]


@contextmanager
def open_records(settings: Settings) -> Iterator[DagsterInstance | None]:
    """Dagster's instance, where there is one that can be opened: to look for it makes none.

    It is no part of the mirror: one that is damaged or out of reach is a warning in the log.
    """
    os.environ.setdefault("DAGSTER_HOME", str(settings.root))
    with ExitStack() as stack:
        instance = None
        if settings.dagster_postgres_url or (settings.var / "dagster").is_dir():
            try:
                instance = stack.enter_context(DagsterInstance.get())
            except Exception as error:
                logger.warning("%s", say("runs_unreadable", why=type(error).__name__))
        yield instance


def find_failed(instance: DagsterInstance, run_ids: Sequence[str]) -> set[str]:
    """Those of these runs that failed, whatever was stored: a check can fail one, or a process that died.

    None of them, with a warning in the log, where the records can't be read.
    """
    try:
        return {run.run_id for run in instance.get_runs(RunsFilter(run_ids=list(run_ids), statuses=FAILED))}
    except Exception as error:
        logger.warning("%s", say("runs_unreadable", why=type(error).__name__))
        return set()


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

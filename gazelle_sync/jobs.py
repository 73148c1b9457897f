"""The job that every sync is: the schedule's, the command's, and a click's.

Keep out: what a table's asset does (`assets`), and when a job runs (`schedules`).
"""

from collections.abc import Mapping
from datetime import time

from dagster import AssetSelection, PartitionKeyRange, define_asset_job

from gazelle_sync.partitions import TABLE_TAG, widest
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import SCHEMA

# As pyproject.toml and workspace.yaml have it.
LOCATION = "gazelle_sync"

# Of tables that are off there is nothing to run.
MIRRORED = AssetSelection.key_prefixes(SCHEMA)

SYNC = define_asset_job(
    "sync",
    selection=MIRRORED,
    description=f"Mirrors every table. [**Sync now**](/locations/{LOCATION}/jobs/sync/playground): click *Launch Run* "
    "there, and *Confirm*. A run without a partition reads what a nightly run would. *Materialize all…* asks for "
    "months: *All* reads all history, a choice those months of the tables that have a date; all others are read whole.",
)

HOURLY = define_asset_job(
    "hourly",
    selection=MIRRORED & AssetSelection.assets(*([SCHEMA, table.name] for table in TABLES.values() if table.hourly)),
    description="What a technician's day depends on: the tables that are declared `hourly`.",
)

# On runs of the command: what was asked for.
READ_TAG = "gazelle-sync/read"
# By the company's clock.
NIGHTLY_AT = time(2)

# On runs that the outside watcher expects every night.
NIGHTLY_TAG = "gazelle-sync/nightly"


def range_tags(months: PartitionKeyRange) -> Mapping[str, str]:
    """The tags that make one run of a range of months; tables without a date ignore them."""
    return {
        "dagster/asset_partition_range_start": months.start,
        "dagster/asset_partition_range_end": months.end,
    }


def due_tags(due: Mapping[str, PartitionKeyRange]) -> Mapping[str, str]:
    """The tags of one run that reads different months of each dated table.

    Dagster materializes the widest range for all of them. A table that needs less of it reads no more than it needs:
    the other months were settled before.
    """
    if not due:
        return {}
    whole = widest(due.values())
    own = {TABLE_TAG + table: f"{months.start}..{months.end}" for table, months in due.items() if months != whole}
    return {**range_tags(whole), **own}


def nightly_tags(due: Mapping[str, PartitionKeyRange]) -> Mapping[str, str]:
    """The tags of what the nightly schedule runs, and the command without options."""
    return {**due_tags(due), NIGHTLY_TAG: "true"}

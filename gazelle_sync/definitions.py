"""The whole project on one page: only wiring. Loading it touches no network and no database."""

import warnings
from datetime import datetime

import dagster as dg

# backfill_policy is marked beta in this version of Dagster; it says so once for every table.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from gazelle_sync.assets import make_source, make_status_page, mirrors  # noqa: E402
from gazelle_sync.checks import checks  # noqa: E402
from gazelle_sync.environment.settings import load_files, read_settings  # noqa: E402
from gazelle_sync.io_managers import LAST_DAYS, PostgresIOManager  # noqa: E402
from gazelle_sync.jobs import HOURLY, SYNC  # noqa: E402
from gazelle_sync.partitions import find_months_ahead, months  # noqa: E402
from gazelle_sync.resources import AlertsResource, GazelleResource, PostgresResource  # noqa: E402
from gazelle_sync.schedules import hourly, nightly, weekly  # noqa: E402
from gazelle_sync.sensors import deliver_alerts, forget_old_runs, renew_status_page, watch  # noqa: E402
from gazelle_sync.view_assets import make_view_assets, make_view_checks  # noqa: E402

load_files()
settings = read_settings()

# Each reads its part of the environment when a run begins; the UI shows the variables' names.
gazelle, postgres, alerts = GazelleResource(), PostgresResource(), AlertsResource()
ahead = find_months_ahead(settings.var / LAST_DAYS, datetime.now(settings.zone).date())
partitions = months(settings.history_start, settings.zone, ahead)

defs = dg.Definitions(
    assets=[
        make_source(settings),
        *mirrors(partitions, settings.tables),
        *make_view_assets(settings.tables, settings.zone),
        make_status_page(settings),
    ],
    asset_checks=[
        *checks(settings.tables.values(), settings.zone, settings.history_start),
        *make_view_checks(settings.tables, settings.zone),
    ],
    jobs=[SYNC, HOURLY],
    schedules=[nightly(partitions, settings.tables), weekly(partitions), hourly(partitions)],
    sensors=[watch, deliver_alerts, renew_status_page, forget_old_runs],
    resources={
        "gazelle": gazelle,
        "postgres": postgres,
        "alerts": alerts,
        "warehouse": PostgresIOManager(postgres=postgres),
    },
    # Steps of a run share one process: they are short, and the log file is for one process only.
    executor=dg.in_process_executor,
)

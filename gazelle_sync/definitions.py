"""The whole project on one page: only wiring. Loading it touches no network and no database."""

import warnings

import dagster as dg

# backfill_policy is marked beta in this version of Dagster; it says so once for every table.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from gazelle_sync import environment  # noqa: E402
from gazelle_sync.assets import mirrors, status_page  # noqa: E402
from gazelle_sync.checks import checks  # noqa: E402
from gazelle_sync.io_managers import PostgresIOManager  # noqa: E402
from gazelle_sync.jobs import HOURLY, SYNC  # noqa: E402
from gazelle_sync.partitions import months  # noqa: E402
from gazelle_sync.resources import AlertsResource, GazelleResource, PostgresResource  # noqa: E402
from gazelle_sync.schedules import hourly, nightly, weekly  # noqa: E402
from gazelle_sync.sensors import deliver_alerts, forget_old_runs, renew_status_page, watch  # noqa: E402

environment.load()
settings = environment.settings()

gazelle = GazelleResource(
    base_url=dg.EnvVar("GAZELLE_BASE_URL"),
    api_key=dg.EnvVar("GAZELLE_API_KEY"),
    client_id=dg.EnvVar("GAZELLE_CLIENT_ID"),
    client_secret=dg.EnvVar("GAZELLE_CLIENT_SECRET"),
    token_file=dg.EnvVar("GAZELLE_TOKEN_FILE"),
    time_zone=dg.EnvVar("GAZELLE_TIMEZONE"),
    history_start=dg.EnvVar("GAZELLE_HISTORY_START"),
    requests_per_second=dg.EnvVar("GAZELLE_REQUESTS_PER_SECOND"),
    database_url=dg.EnvVar("SUPABASE_DB_URL"),
)
postgres = PostgresResource(url=dg.EnvVar("SUPABASE_DB_URL"))
alerts = AlertsResource(
    slack_webhook_url=dg.EnvVar("SLACK_WEBHOOK_URL"),
    alert_email_to=dg.EnvVar("ALERT_EMAIL_TO"),
    smtp_url=dg.EnvVar("SMTP_URL"),
    heartbeat_url=dg.EnvVar("HEARTBEAT_URL"),
    language=dg.EnvVar("GAZELLE_SYNC_LANG"),
    time_zone=dg.EnvVar("GAZELLE_TIMEZONE"),
    ui_url=dg.EnvVar("DAGSTER_UI_URL"),
)
partitions = months(settings.history_start, settings.zone)

defs = dg.Definitions(
    assets=[*mirrors(partitions), status_page],
    asset_checks=checks(settings.zone, settings.history_start),
    jobs=[SYNC, HOURLY],
    schedules=[nightly(partitions), weekly(partitions), hourly(partitions)],
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

"""The sensors: one looks for something to tell people of, one sends what is to be told; one renews the status page,
and one forgets old runs.

The first are two so that a message that can't be sent shows as a failed tick, and is sent by a later one, while
looking goes on. Keep out: what counts as something to tell of (`watch`), how it is sent (`alerts`).
"""

from datetime import datetime, timezone

from dagster import (
    AssetSelection,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from gazelle_sync.jobs import NIGHTLY_TAG
from gazelle_sync.monitoring import records
from gazelle_sync.monitoring.heartbeat import give_sign_of_life
from gazelle_sync.monitoring.incidents import make_watcher
from gazelle_sync.resources import AlertsResource, PostgresResource


@sensor(
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Looks for failed or hung runs, failed backfills and checks, and stale tables.",
)
def watch(context: SensorEvaluationContext, postgres: PostgresResource, alerts: AlertsResource) -> SkipReason:
    if not alerts.is_on():
        return SkipReason("No alert is configured: SLACK_WEBHOOK_URL, ALERT_EMAIL_TO with SMTP_URL, or HEARTBEAT_URL.")
    make_watcher(context.instance, postgres, alerts).look()
    settings = alerts.settings()
    give_sign_of_life(settings.var / "watch.json", settings.heartbeat_url)
    return SkipReason("Looked.")


@sensor(
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Sends alerts. A failed tick names what could not be sent; it is kept, and sent by a later tick.",
)
def deliver_alerts(alerts: AlertsResource) -> SkipReason:
    if not alerts.is_on():
        return SkipReason("No alert is configured.")
    alerts.deliver()
    return SkipReason("All is sent.")


@sensor(
    minimum_interval_seconds=30,
    asset_selection=AssetSelection.assets("status_page"),
    default_status=DefaultSensorStatus.RUNNING,
    description="Renews the status page after each nightly run, and above all after one that failed.",
)
def renew_status_page(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    nights = RunsFilter(statuses=records.ENDED, tags={NIGHTLY_TAG: "true"})
    last = context.instance.get_run_records(nights, limit=1)
    if not last:
        return SkipReason("No nightly run has ended yet.")
    night = last[0].dagster_run.run_id
    if context.cursor == night:
        return SkipReason("The page is of the last nightly run, or later.")
    context.update_cursor(night)
    return RunRequest(run_key=night)


@sensor(
    minimum_interval_seconds=3600,
    default_status=DefaultSensorStatus.RUNNING,
    description=f"Deletes runs of more than {records.RUNS_KEPT.days} days ago, and their files, which Dagster keeps.",
)
def forget_old_runs(context: SensorEvaluationContext) -> SkipReason:
    forgotten = records.forget_old_runs(context.instance, datetime.now(timezone.utc))
    return SkipReason(f"Forgot {forgotten} runs.")

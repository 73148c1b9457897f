"""The Gazelle and Postgres resources: configuration, and one context manager each.

Keep out: HTTP (`gazelle`), SQL (`warehouse`), which table is read when (`assets`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from zoneinfo import ZoneInfo

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr
from sqlalchemy import Engine

from gazelle_sync import environment, services, warehouse
from gazelle_sync.alerts import Alerts, NotSent, channels_from
from gazelle_sync.gazelle import Client, Snapshot
from gazelle_sync.tables import Scope, Table


class GazelleResource(ConfigurableResource):  # type: ignore[type-arg]
    """Reads tables from a Gazelle account."""

    base_url: str = Field(description="Where Gazelle is; empty for the usual address.")
    api_key: str = Field(description="A personal API key; used in place of OAuth when set.")
    client_id: str = Field(description="The OAuth app's id.")
    client_secret: str = Field(description="The OAuth app's secret.")
    time_zone: str = Field(description="The company's time zone.")
    history_start: str = Field(description="The business day on which full history begins.")
    token_file: str = Field(description="Where the OAuth token is kept: a path, or postgres.")
    requests_per_second: str = Field(description="How many requests may be sent in a second.")
    database_url: str = Field(description="The database, for a token that is kept there.")

    _client: Client = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["GazelleResource"]:
        self._client = services.gazelle(
            base_url=self.base_url,
            api_key=self.api_key,
            client_id=self.client_id,
            client_secret=self.client_secret,
            token_file=self.token_file,
            requests_per_second=self.requests_per_second,
            database_url=self.database_url,
        )
        try:
            yield self
        finally:
            self._client.close()

    def snapshot(self, table: Table, days: tuple[date, date] | None) -> Snapshot:
        """What Gazelle has of a table: of the business days from the first to before the second, or all."""
        zone = ZoneInfo(self.time_zone)
        scope = Scope(zone, *days) if days else Scope(zone, date.fromisoformat(self.history_start))
        return Snapshot(self._client, table, scope)


class PostgresResource(ConfigurableResource):  # type: ignore[type-arg]
    """The database that holds the mirror."""

    url: str = Field(description="PostgreSQL connection string.")

    _engine: Engine | None = PrivateAttr(default=None)
    _migrated: bool = PrivateAttr(default=False)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["PostgresResource"]:
        try:
            yield self
        finally:
            if self._engine:
                self._engine.dispose()

    def engine(self) -> Engine:
        """It keeps a connection open between transactions, as long as the resource is in use.

        Opens nothing yet. Raises `warehouse.WarehouseError` for a string that can't be used.
        """
        self._engine = services.database(self.url, keep_open=True)
        return self._engine

    def migrated(self) -> Engine:
        """The engine, after what the database lacks was added, once a run."""
        engine = self.engine()
        if not self._migrated:
            warehouse.migrate(engine, loads_follow=True)
            self._migrated = True
        return engine


class AlertsResource(ConfigurableResource):  # type: ignore[type-arg]
    """Slack, e-mail and the heartbeat; each is off while unset."""

    slack_webhook_url: str = Field(description="Slack's incoming webhook.")
    alert_email_to: str = Field(description="Who gets e-mail; several are separated by commas.")
    smtp_url: str = Field(description="The server that sends it: smtp://user:password@host:587.")
    heartbeat_url: str = Field(description="Asked after each good nightly run, for an outside watcher.")
    language: str = Field(description="en or fr; empty for the locale's.")
    time_zone: str = Field(description="The zone that times are shown in.")
    ui_url: str = Field(description="Where the Dagster UI is, for links.")

    @property
    def on(self) -> bool:
        return bool(self.slack_webhook_url or self.alert_email_to or self.smtp_url or self.heartbeat_url)

    def alerts(self) -> Alerts:
        """Raises `ValueError` when e-mail is half configured."""
        return Alerts(
            channels_from(self.slack_webhook_url, self.alert_email_to, self.smtp_url),
            services.VAR / "alerts.json",
            environment.language(self.language),
            ZoneInfo(self.time_zone),
            secrets=environment.secrets(),
        )

    def deliver(self) -> None:
        """Raises `NotSent` with what could not be sent; it is kept."""
        if failures := self.alerts().deliver():
            raise NotSent("; ".join(map(str, failures)))

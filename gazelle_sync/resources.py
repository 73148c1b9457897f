"""The Gazelle, Postgres and alerts resources: configuration, and one context manager each.

A field is named like the one of `Settings` that it takes the place of; its default is the environment's variable,
so that the UI shows its name and never its value. Keep out: HTTP (`gazelle`), SQL (`warehouse`), which table is read
when (`assets`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TypeVar

from dagster import ConfigurableResource, EnvVar, InitResourceContext
from pydantic import Field, PrivateAttr
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.alerts import Alerts, NotSent
from gazelle_sync.environment import connections
from gazelle_sync.environment.account import View, ask_account, remember
from gazelle_sync.environment.settings import VARIABLES, Misconfigured, Settings, read_settings
from gazelle_sync.gazelle import Client, Cut, GazelleError, Snapshot
from gazelle_sync.tables import Scope, Table
from gazelle_sync.tables.declaration import Sizes

Resource = TypeVar("Resource", bound="ConfiguredResource")


class ConfiguredResource(ConfigurableResource):  # type: ignore[type-arg]
    """A resource that is a part of the settings."""

    def settings(self) -> Settings:
        """The environment's settings, with what this resource was given in their place. Raises `Misconfigured`."""
        given = {VARIABLES[name]: value for name, value in self if isinstance(value, str)}
        return read_settings({**os.environ, **given})

    def read_environment(self: Resource) -> Resource:
        """Another, with its variables read, for whoever uses one outside of a run, and closes it.

        Dagster would make an instance in memory for each.
        """
        return type(self)(**{name: value.get_value("") if isinstance(value, EnvVar) else value for name, value in self})

    def close(self) -> None:
        """Lets go of what is open."""


class GazelleResource(ConfiguredResource):
    """Reads tables from a Gazelle account."""

    base_url: str = Field(default=EnvVar("GAZELLE_BASE_URL"), description="Where Gazelle is; empty for the usual.")
    api_key: str = Field(default=EnvVar("GAZELLE_API_KEY"), description="A personal API key; used before OAuth.")
    client_id: str = Field(default=EnvVar("GAZELLE_CLIENT_ID"), description="The OAuth app's id.")
    client_secret: str = Field(default=EnvVar("GAZELLE_CLIENT_SECRET"), description="The OAuth app's secret.")
    token_file: str = Field(
        default=EnvVar("GAZELLE_TOKEN_FILE"), description="Where the OAuth token is kept: a path, or postgres."
    )
    zone: str = Field(default=EnvVar("GAZELLE_TIMEZONE"), description="The company's time zone.")
    history_start: str = Field(default=EnvVar("GAZELLE_HISTORY_START"), description="Where full history begins.")
    requests_per_second: str = Field(
        default=EnvVar("GAZELLE_REQUESTS_PER_SECOND"), description="How many requests may be sent in a second."
    )
    concurrent_requests: str = Field(
        default=EnvVar("GAZELLE_CONCURRENT_REQUESTS"), description="How many requests may be under way at once."
    )
    database_url: str = Field(
        default=EnvVar("SUPABASE_DB_URL"), description="The database, for a token that is kept there."
    )

    _client: Client = PrivateAttr()
    # What was read of long lists, for a step that is tried again.
    _cuts: dict[tuple[str, Scope], Cut] = PrivateAttr(default_factory=dict)
    _settings: Settings = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["GazelleResource"]:
        self._settings = self.settings()
        self._client = connections.make_client(self._settings)
        try:
            yield self
        finally:
            self._client.close()

    def snapshot(self, table: Table, days: tuple[date, date] | None) -> Snapshot:
        """What Gazelle has of a table: of the business days from the first to before the second, or all."""
        zone = self._settings.zone
        scope = Scope(zone, *days) if days else Scope(zone, self._settings.history_start)
        cut = self._cuts.setdefault((table.name, scope), Cut())
        return Snapshot(self._client, table, scope, cut=cut)


class PostgresResource(ConfiguredResource):
    """The database that holds the mirror."""

    database_url: str = Field(default=EnvVar("SUPABASE_DB_URL"), description="PostgreSQL connection string.")

    _engine: Engine | None = PrivateAttr(default=None)
    _migrated: bool = PrivateAttr(default=False)
    _page_sizes: dict[str, Sizes] | None = PrivateAttr(default=None)
    _seen: View | Exception | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["PostgresResource"]:
        try:
            yield self
        finally:
            self.close()

    def close(self) -> None:
        if self._engine:
            self._engine.dispose()

    def engine(self) -> Engine:
        """It keeps a connection open between transactions, as long as the resource is in use.

        Opens nothing yet. Raises `warehouse.WarehouseError` for a string that can't be used.
        """
        self._engine = connections.make_engine(self.settings(), keep_open=True)
        return self._engine

    def migrate(self) -> Engine:
        """The engine, after what the database lacks was added, once a run. Raises `warehouse.WarehouseError`."""
        engine = self.engine()
        if not self._migrated:
            warehouse.prepare(engine, zone=self.settings().zone)
            self._migrated = True
        return engine

    def open_for(self, client: Client) -> tuple[Engine, View]:
        """The engine of a database that is ready for what this client reads, and how that sees the account.

        Gazelle is asked once a run. Raises `AnotherAccount` before anything is written, `GazelleError` when Gazelle
        could not say whose account it is, and `warehouse.WarehouseError`.
        """
        if self._seen is None:
            try:
                asked = ask_account(client, self.engine(), self.settings().tables)
                engine = self.migrate()
                self._seen = warehouse.with_what_lacks(
                    engine, lambda: remember(asked, engine), zone=self.settings().zone
                )
            except (GazelleError, Misconfigured) as error:
                self._seen = error
        if isinstance(self._seen, Exception):
            raise self._seen
        return self.migrate(), self._seen

    def page_sizes(self) -> dict[str, Sizes]:
        """Table → the size of pages that worked last; asked for once a run. Raises `warehouse.WarehouseError`."""
        if self._page_sizes is None:
            engine = self.engine()
            self._page_sizes = warehouse.with_what_lacks(
                engine, lambda: warehouse.read_page_sizes(engine), zone=self.settings().zone
            )
        return self._page_sizes


class AlertsResource(ConfiguredResource):
    """Slack, e-mail and the heartbeat; each is off while unset."""

    slack_webhook_url: str = Field(default=EnvVar("SLACK_WEBHOOK_URL"), description="Slack's incoming webhook.")
    alert_email_to: str = Field(
        default=EnvVar("ALERT_EMAIL_TO"), description="Who gets e-mail; several are separated by commas."
    )
    smtp_url: str = Field(
        default=EnvVar("SMTP_URL"), description="The server that sends it: smtp://user:password@host:587."
    )
    heartbeat_url: str = Field(
        default=EnvVar("HEARTBEAT_URL"), description="Asked after each good nightly run, for an outside watcher."
    )
    language: str = Field(default=EnvVar("GAZELLE_SYNC_LANG"), description="en or fr; empty for the locale's.")
    zone: str = Field(default=EnvVar("GAZELLE_TIMEZONE"), description="The zone that times are shown in.")
    ui_url: str = Field(default=EnvVar("DAGSTER_UI_URL"), description="Where the Dagster UI is, for links.")

    def is_on(self) -> bool:
        return bool(self.slack_webhook_url or self.alert_email_to or self.smtp_url or self.heartbeat_url)

    def alerts(self) -> Alerts:
        """Raises `ValueError` when e-mail is half configured."""
        return connections.make_alerts(self.settings())

    def deliver(self) -> None:
        """Raises `NotSent` with what could not be sent; it is kept."""
        if failures := self.alerts().deliver():
            raise NotSent("; ".join(map(str, failures)))

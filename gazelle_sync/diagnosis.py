"""What `gazelle-sync check` looks at, a finding for each, before anyone runs a sync. Nothing is changed.

Keep out: how findings are shown (`cli`), SQL (`warehouse.inspect`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gazelle_sync import services, warehouse
from gazelle_sync.environment import DEFAULTS, Misconfigured, Settings
from gazelle_sync.gazelle import GazelleError
from gazelle_sync.language import Speech
from gazelle_sync.warehouse import WarehouseError

# Seconds. Whoever asks for a check waits in front of it, and a run's patience is longer.
PATIENCE = 10.0
# Seconds. Tokens are renewed five minutes before they expire, and schedules go by the minute.
MOST_SKEW = 60.0


@dataclass(frozen=True)
class Finding:
    what: str
    good: bool
    text: str


def examine(settings: Settings, say: Speech) -> Iterator[Finding]:
    """A finding for each thing that a sync, or who reads its tables, may stumble over."""
    yield Finding(say("check_configuration"), True, f"{settings.zone.key}, {settings.history_start}")
    yield finding(say("check_api"), lambda: gazelle(settings))
    database = finding(say("check_database"), lambda: warehouse.server(engine()))
    yield database
    for what, look in (
        ("check_clock", clock),
        ("check_connection", connection),
        ("check_privileges", lambda _: warehouse.privileges(engine())),
        ("check_tables", tables),
        ("check_row_security", row_security),
        ("check_readers", readers),
        ("check_rest", rest),
    ):
        if database.good:
            yield finding(say(what), lambda look=look: look(say))  # type: ignore[misc]
        else:
            yield Finding(say(what), False, say("not_checked"))
    if os.environ["DAGSTER_POSTGRES_URL"]:
        yield finding(say("check_records"), lambda: records(say))


def finding(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except (GazelleError, WarehouseError, Misconfigured) as error:
        return Finding(what, False, str(error))


def gazelle(settings: Settings) -> str:
    names = ("BASE_URL", "API_KEY", "CLIENT_ID", "CLIENT_SECRET", "TOKEN_FILE", "REQUESTS_PER_SECOND")
    variables = {name.lower(): os.environ.get(f"GAZELLE_{name}", "") for name in names}
    client = services.gazelle(**variables, database_url=os.environ["SUPABASE_DB_URL"], patience=PATIENCE)
    try:
        # The smallest question that needs credentials.
        client.execute("a first question", "query check { __typename }", {})
    finally:
        client.close()
    in_step("Gazelle", client.clock_ahead)
    if not (settings.embedded or variables["api_key"]):
        lasting_token(variables)
    return "sandbox" if settings.embedded else settings.base_url or DEFAULTS["GAZELLE_BASE_URL"]


def lasting_token(variables: dict[str, str]) -> None:
    oauth = services.oauth(
        services.transport(variables["base_url"], variables["requests_per_second"]),
        variables["client_id"],
        variables["client_secret"],
        variables["token_file"],
        os.environ["SUPABASE_DB_URL"],
    )
    if not oauth.lasts():
        raise Misconfigured(
            "The OAuth token has no refresh token: when it expires, syncs fail until somebody logs in again. Run "
            "`gazelle-sync login`, and if that changes nothing, use GAZELLE_API_KEY."
        )


def in_step(whose: str, ahead: float | None) -> None:
    if ahead is not None and abs(ahead) > MOST_SKEW:
        direction = "behind" if ahead > 0 else "ahead of"
        raise Misconfigured(
            f"This machine's clock is {abs(ahead):.0f} s {direction} {whose}'s, so tokens expire unnoticed "
            "and times are wrong. Set it by the network: timedatectl set-ntp true"
        )


def clock(say: Speech) -> str:
    ahead = warehouse.clock_ahead(engine())
    in_step("the database", ahead)
    return say("in_step")


def connection(say: Speech) -> str:
    mode = warehouse.pooler(engine())
    return say(f"{mode}_pooler" if mode else "direct")


def tables(say: Speech) -> str:
    """What a sync would add is no fault; what somebody made different is."""
    warehouse.altered(engine())
    lacking = warehouse.lacking(engine())
    if not lacking:
        return say("as_declared")
    shown = ", ".join(lacking[:3]) + ("…" if len(lacking) > 3 else "")
    return say("to_be_added", count=len(lacking), what=shown)


def row_security(say: Speech) -> str:
    count = warehouse.unprotected(engine())
    return say("protected", count=count) if count else say("no_tables_yet")


def readers(say: Speech) -> str:
    warehouse.too_open(engine())
    return say("nobody_else")


def rest(say: Speech) -> str:
    return say("exposed" if warehouse.exposed(engine()) else "exposure_not_seen")


def records(say: Speech) -> str:
    """Dagster listens to its database and sets options on its connections: neither passes a pooler."""
    mode = warehouse.pooler(warehouse.connect(os.environ["DAGSTER_POSTGRES_URL"]))
    if mode:
        raise Misconfigured(
            f"DAGSTER_POSTGRES_URL goes through a {mode} pooler, which refuses what Dagster needs. Give it a direct "
            "connection, or leave it unset: SQLite under var/ is the default."
        )
    return say("direct")


def engine() -> warehouse.Engine:
    return services.database(os.environ["SUPABASE_DB_URL"])

"""What `gazelle-sync check` looks at, a finding for each, before anyone runs a sync. Nothing is changed.

Keep out: how findings are shown (`check`), SQL (`warehouse.preflight`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gazelle_sync import warehouse
from gazelle_sync.cli import places
from gazelle_sync.cli.faults import describe_fault, log_traceback
from gazelle_sync.environment import connections
from gazelle_sync.environment import settings as environment
from gazelle_sync.environment.account import check_same, find_blind_spot
from gazelle_sync.environment.settings import Misconfigured, Settings
from gazelle_sync.gazelle import GazelleError, read_account, read_standing
from gazelle_sync.redaction import PlainError
from gazelle_sync.translations import Speech

# Seconds. Whoever asks for a check waits in front of it, and a run's patience is longer.
PATIENCE = 10.0
# Where `dagster_storage` keeps Dagster's records in PostgreSQL; importing that takes a second.
RECORDS_SCHEMA = "dagster"
# Seconds. Tokens are renewed five minutes before they expire, and schedules go by the minute.
MOST_SKEW = 60.0
# What Gazelle may say of who asks, and of the account.
STANDING = ("check_asking", "check_parked", "check_maintenance", "check_currency")
# How many parts a unit of a currency has, where views say amounts.
PARTS = 100


@dataclass(frozen=True)
class Finding:
    """`good` is None for what can't be known from here."""

    what: str
    good: bool | None
    text: str


class NotKnown(PlainError):
    """What can't be seen from here; the message says where it can."""


def examine(settings: Settings, say: Speech) -> Iterator[Finding]:
    """A finding for each thing that a sync, or who reads its tables, may stumble over."""
    examination = Examination(settings, say)
    yield Finding(say("check_configuration"), True, f"{settings.zone.key}, {settings.history_start}")
    gazelle = find(say("check_api"), examination.check_gazelle)
    yield gazelle
    database = find(say("check_database"), lambda: warehouse.check_server(examination.engine))
    yield database
    both = gazelle.good and database.good
    what = say("check_account")
    yield find(what, examination.check_account) if both else Finding(what, False, say("not_checked"))
    if gazelle.good:
        yield from examination.look_at_standing()
    else:
        yield from (Finding(say(name), False, say("not_checked")) for name in STANDING)
    for what, look in (
        ("check_clock", examination.check_clock),
        ("check_connection", examination.check_connection),
        ("check_privileges", lambda: warehouse.check_privileges(examination.engine, zone=settings.zone)),
        ("check_tables", examination.check_tables),
        ("check_row_security", examination.check_row_security),
        ("check_readers", examination.check_readers),
        ("check_rest", examination.check_rest_api),
    ):
        yield find(say(what), look) if database.good else Finding(say(what), False, say("not_checked"))
    yield find(say("check_files"), lambda: places.check_files(settings))
    yield find(say("check_records"), examination.check_records)


def find(what: str, look: Callable[[], str]) -> Finding:
    """What a look says, or the fault that it raises: whatever it is, the other looks are still to be shown."""
    try:
        return Finding(what, True, look())
    except NotKnown as untold:
        return Finding(what, None, str(untold))
    except Exception as error:
        if not isinstance(error, PlainError):
            log_traceback(environment.ROOT, error)
        return Finding(what, False, describe_fault(error))


class Examination:
    """The looks: each says what it found in order, and raises what is not."""

    def __init__(self, settings: Settings, say: Speech) -> None:
        self.settings = settings
        self.say = say

    @property
    def engine(self) -> warehouse.Engine:
        return connections.make_engine(self.settings)

    def check_gazelle(self) -> str:
        # Neither an outage nor a rate limit is waited for any longer.
        settings = replace(self.settings, patience=PATIENCE)
        client = connections.make_client(settings, patience=PATIENCE)
        try:
            # The smallest question that needs credentials.
            client.execute("a first question", "query check { __typename }", {})
        finally:
            client.close()
        check_skew("gazelle", client.clock_ahead, self.say)
        if not (self.settings.embedded or self.settings.api_key):
            self.check_token_lasts()
        return "sandbox" if self.settings.embedded else self.settings.base_url

    def check_account(self) -> str:
        """One company on both sides, and a key that shows all of it."""
        client = connections.make_client(self.settings, patience=PATIENCE)
        try:
            asked = read_account(client)
        finally:
            client.close()
        kept = warehouse.read_mirrored_account(self.engine)
        if asked is None:
            raise Misconfigured(self.say("account_not_told"))
        check_same(asked, kept)
        if blind_spot := find_blind_spot(asked, kept):
            raise Misconfigured(blind_spot)
        return f"{asked.company_name} ({asked.company_id}), {asked.access}"

    def look_at_standing(self) -> Iterator[Finding]:
        """Who asks, whether the account is parked, what maintenance is announced, and what amounts are in."""
        client = connections.make_client(replace(self.settings, patience=PATIENCE), patience=PATIENCE)
        try:
            seen = read_standing(client)
        except GazelleError as error:
            yield Finding(self.say("check_asking"), False, str(error))
            return
        finally:
            client.close()
        untold = self.say("not_told")
        yield Finding(self.say("check_asking"), True if seen.user else None, seen.user or untold)
        parked = self.say("parked", reason=seen.parked) if seen.parked else self.say("not_parked")
        is_told = None if seen.parked is None else not seen.parked
        yield Finding(self.say("check_parked"), is_told, untold if is_told is None else parked)
        announced = self.say("maintenance_announced", at=seen.maintenance_at, message=seen.maintenance)
        told = announced if seen.maintenance or seen.maintenance_at else self.say("no_maintenance")
        is_told = None if seen.maintenance is None else True
        yield Finding(self.say("check_maintenance"), is_told, told if is_told else untold)
        name = "currency_in_hundredths" if seen.divisor == PARTS else "currency_in_other_parts"
        told = self.say(name, currency=seen.currency or "?", divisor=seen.divisor)
        is_told = None if seen.divisor is None else seen.divisor == PARTS
        yield Finding(self.say("check_currency"), is_told, untold if is_told is None else told)

    def check_token_lasts(self) -> None:
        if not connections.make_oauth(self.settings, connections.make_transport(self.settings)).lasts():
            raise Misconfigured(self.say("token_does_not_last"))

    def check_clock(self) -> str:
        check_skew("database", warehouse.measure_clock(self.engine), self.say)
        return self.say("in_step")

    def check_connection(self) -> str:
        mode = warehouse.detect_pooler(self.engine)
        return self.say(f"{mode}_pooler" if mode else "direct")

    def check_tables(self) -> str:
        """What a sync would add is no fault; what somebody made different is."""
        kept = warehouse.check_column_types(self.engine, zone=self.settings.zone)
        warehouse.check_leftovers(self.engine)
        left_out = {self.say("view_named", what=name) for names in kept.values() for name in names}
        missing = warehouse.list_missing(self.engine, zone=self.settings.zone)
        lacking = [each for each in missing if each not in left_out]
        shown = ", ".join(lacking[:3]) + ("…" if len(lacking) > 3 else "")
        # What was compared already, no sync looks for: a view that can't be made costs no comparison every night.
        key = "left_out_of_it" if warehouse.is_compared(self.engine, zone=self.settings.zone) else "to_be_added"
        told = self.say(key, count=len(lacking), what=shown) if lacking else self.say("as_declared")
        return ". ".join([told, *kept])

    def check_row_security(self) -> str:
        count = warehouse.check_row_security(self.engine)
        return self.say("protected", count=count) if count else self.say("no_tables_yet")

    def check_readers(self) -> str:
        warehouse.check_grants(self.engine)
        warehouse.check_bystanders(self.engine)
        return self.say("nobody_else")

    def check_rest_api(self) -> str:
        if not warehouse.check_rest_api(self.engine):
            raise NotKnown(self.say("exposure_not_seen"))
        return self.say("exposed")

    def check_records(self) -> str:
        """Dagster listens to its database and sets options on its connections: neither passes a pooler."""
        if not self.settings.dagster_postgres_url:
            return places.check_records(self.settings)
        records = warehouse.connect(self.settings.dagster_postgres_url, variable="DAGSTER_POSTGRES_URL")
        mode = warehouse.detect_pooler(records)
        if mode:
            raise Misconfigured(self.say("records_through_pooler", mode=mode))
        warehouse.check_schema_rights(records, RECORDS_SCHEMA, variable="DAGSTER_POSTGRES_URL")
        return self.say("direct")


def check_skew(whose: str, ahead: float | None, say: Speech) -> None:
    """Raises `Misconfigured` when the other's clock is too many seconds ahead, or behind."""
    if ahead is not None and abs(ahead) > MOST_SKEW:
        direction = "clock_behind" if ahead > 0 else "clock_ahead"
        raise Misconfigured(say(direction, seconds=f"{abs(ahead):.0f}", whose=say(f"clock_of_{whose}")))

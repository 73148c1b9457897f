"""Whether the credentials and the database belong together: one company, and a key that sees all of it.

Keep out: what Gazelle says (`gazelle.account`), and what the database remembers (`warehouse.account`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.environment.first_contact import tell_differences
from gazelle_sync.environment.settings import Misconfigured
from gazelle_sync.gazelle import Account, Client, InvalidResponse, Refused, Unanswered, read_account
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse import MirroredAccount


class AnotherAccount(Misconfigured):
    """The credentials are for one company, and the database mirrors another."""


def ask_account(client: Client, engine: Engine, tables: Mapping[str, Table] = TABLES) -> Account | None:
    """Whose account the credentials are for; None when Gazelle does not say it. Writes nothing.

    A database that mirrors none yet begins here: what its tables will not find in the API is told in the log.

    Raises `AnotherAccount` when the database mirrors another company, or `GazelleError` when it mirrors one and Gazelle
    names none; and `WarehouseError`.
    """
    try:
        asked = read_account(client)
    except Refused:
        # The API has changed, for every key: that says nothing against this one.
        return None
    except Unanswered:
        asked = None
    kept = warehouse.read_mirrored_account(engine)
    if asked is None and kept is not None:
        raise InvalidResponse(say("no_company_named", kept=kept.company_name, kept_id=kept.company_id))
    if asked is not None:
        check_same(asked, kept)
    if kept is None:
        # No connection waits for Gazelle.
        engine.dispose()
        tell_differences(client, tables.values())
    return asked


def check_same(asked: Account, kept: MirroredAccount | None) -> None:
    """Raises `AnotherAccount`."""
    if kept is not None and kept.company_id != asked.company_id:
        raise AnotherAccount(
            say(
                "another_account",
                asked=asked.company_name,
                asked_id=asked.company_id,
                kept=kept.company_name,
                kept_id=kept.company_id,
            )
        )


@dataclass(frozen=True)
class View:
    """How who asks sees the account: what may be hidden from them in words, empty for nothing, and its language.

    `locale` is the one that clients are written to in, None when it was never told.
    """

    blind_spot: str
    locale: str | None


def remember(asked: Account | None, engine: Engine) -> View:
    """Remembers the account that is mirrored from now on.

    Raises `AnotherAccount` when another company was faster, and `WarehouseError`.
    """
    if asked is None:
        kept = warehouse.read_mirrored_account(engine)
        return View(say("account_not_told"), kept.client_locale if kept else None)
    kept = warehouse.remember_account(
        engine,
        company_id=asked.company_id,
        company_name=asked.company_name,
        access_level=asked.access_level,
        sees_all=asked.sees_all,
        client_locale=asked.client_locale,
    )
    check_same(asked, kept)
    return View(find_blind_spot(asked, kept), kept.client_locale)


def find_blind_spot(asked: Account, kept: MirroredAccount | None) -> str:
    """What may be hidden from who asks, in words; empty for nothing."""
    if asked.sees_all:
        return ""
    if kept is None or kept.saw_all_at is None:
        return say("sees_less", access=asked.access)
    return say("sees_less_than_before", access=asked.access, at=f"{kept.saw_all_at:%Y-%m-%d %H:%M}")

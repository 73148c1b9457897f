"""Whose account the credentials are for, and what their user may see: one request.

Keep out: whose account the database mirrors (`warehouse.account`), and what follows from both (`environment.account`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import QueryRefused, Unanswered
from gazelle_sync.translations import say

# `PrivateQuery.company` and `.user`, and the enum `AccessLevel`, in Gazelle's schema.
WHOSE = "query account {{ company {{ id name {settings}}} user {{ accessLevel hasLimitedAccess }} }}"
# What may be said besides, each part for itself: whoever lacks one is told the others.
BESIDES = (
    "user { firstName lastName }",
    "company { isParked parkedReason }",
    "company { upcomingMaintenanceNotice { message startsAt } }",
    "company { settings { localization { defaultCurrency { code divisor } } } }",
)
LANGUAGE = "settings { localization { defaultClientLocalization { locale } } } "
ADMINISTRATOR = "ADMIN"


@dataclass(frozen=True)
class Account:
    """A company, and the access of the user who asks. `access_level` is None where Gazelle does not say it.

    `client_locale` is the language and region that its clients are written to in, such as fr_CA; None if not told.
    """

    company_id: str
    company_name: str
    access_level: str | None
    has_limited_access: bool
    client_locale: str | None = None

    @property
    def sees_all(self) -> bool:
        """Whether no record is hidden from who asks: technicians see the clients only who are theirs, or nobody's."""
        return self.access_level == ADMINISTRATOR and not self.has_limited_access

    @property
    def access(self) -> str:
        """The access in words, such as `TECHNICIAN`."""
        level = self.access_level or say("access_unknown")
        return say("access_limited", level=level) if self.has_limited_access else level


def read_account(client: Client) -> Account | None:
    """None when Gazelle names no company. Raises `GazelleError`."""
    try:
        data = client.execute("the account", WHOSE.format(settings=LANGUAGE), {})
    except (QueryRefused, Unanswered) as error:
        if isinstance(error, Unanswered) and "company" not in error.places:
            raise
        # Whose account it is has to be known; a language need not.
        data = client.execute("the account", WHOSE.format(settings=""), {})
    company, user = data.get("company"), data.get("user")
    if not isinstance(company, dict) or not isinstance(company.get("id"), str) or not company["id"]:
        return None
    user = user if isinstance(user, dict) else {}
    name, level = company.get("name"), user.get("accessLevel")
    return Account(
        company["id"],
        name if isinstance(name, str) and name.strip() else company["id"],
        level if isinstance(level, str) else None,
        # What is not plainly no, may be yes.
        user.get("hasLimitedAccess") not in (False, None),
        find_locale(company),
    )


@dataclass(frozen=True)
class Standing:
    """Who asks, and what lies ahead of the account; each is None where Gazelle does not say it.

    `parked` is why the account is parked, empty for one that is not. `maintenance` is what Gazelle announces, with
    `maintenance_at` as it says it; both are empty when nothing is. Amounts are in `divisor` parts of the `currency`.
    """

    user: str | None
    parked: str | None
    maintenance: str | None
    maintenance_at: str | None
    currency: str | None
    divisor: int | None


def read_standing(client: Client) -> Standing:
    """Raises `GazelleError` for what is no refusal."""
    user, parked, notice, money = (ask_besides(client, part) for part in BESIDES)
    person, company = user.get("user"), parked.get("company")
    announced = notice.get("company")
    names = [person.get(name) for name in ("firstName", "lastName")] if isinstance(person, dict) else []
    is_parked = company.get("isParked") if isinstance(company, dict) else None
    reason = company.get("parkedReason") if isinstance(company, dict) else None
    found = announced.get("upcomingMaintenanceNotice") if isinstance(announced, dict) else None
    told = found if isinstance(found, dict) else {}
    is_told = isinstance(announced, dict)
    currency = find_below(money, "company", "settings", "localization", "defaultCurrency")
    code, divisor = (currency.get(name) if isinstance(currency, dict) else None for name in ("code", "divisor"))
    return Standing(
        " ".join(name for name in names if isinstance(name, str) and name.strip()) or None,
        {True: str(reason or "?"), False: ""}.get(is_parked) if isinstance(is_parked, bool) else None,
        str(told.get("message") or "") if is_told else None,
        str(told.get("startsAt") or "") if is_told else None,
        code if isinstance(code, str) and code else None,
        divisor if isinstance(divisor, int) and not isinstance(divisor, bool) else None,
    )


def ask_besides(client: Client, part: str) -> dict[str, Any]:
    """Empty where Gazelle refuses it."""
    try:
        return client.execute("the account", f"query besides {{ {part} }}", {})
    except (QueryRefused, Unanswered):
        return {}


def find_locale(company: dict[str, Any]) -> str | None:
    found = find_below(company, "settings", "localization", "defaultClientLocalization", "locale")
    return found if isinstance(found, str) and found else None


def find_below(found: Any, *names: str) -> Any:
    """What is at this path; None where something on it is not there."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found

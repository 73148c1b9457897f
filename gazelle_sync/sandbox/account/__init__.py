"""The sandbox's data: one Gazelle account, as plain dicts that a test may edit while the sandbox runs.

`Account.typical` is a small business with everything odd that a real one has; `Account.generated` is as large as
asked. Each kind of record is made in a file of its own. How records are filtered, sorted, paged and answered must
stay out: that is `filters.py`, `view.py` and `resolvers.py`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from itertools import count

from gazelle_sync.sandbox.account import awkward, calendar, history, money, people, pianos, settings
from gazelle_sync.sandbox.account.history import TIMELINE_TYPES
from gazelle_sync.sandbox.account.kinds import BLANKS, ID_PREFIXES, Record
from gazelle_sync.sandbox.account.maker import Maker

__all__ = ["BLANKS", "ID_PREFIXES", "TIMELINE_TYPES", "Account", "Record"]


@dataclass
class Account:
    """One account's records by kind and id. A record has the API's field names; a relation is its id.

    So an event has `clientId`, `userId`, `createdById` and `pianos: [{pianoId, isTuning}]`. What belongs to one
    record only is inside it: a contact's `allEmails`, `allPhones`, `allLocations`, a piano's `allPianoMeasurements`
    and `allPianoPhotos`, an invoice's `allInvoiceItems` (with `pianoId`) and `allInvoicePayments`, an estimate's
    `allEstimateTiers` and in each of them `allEstimateTierGroups` and `allEstimateTierItems`. A client's default
    contact is its contact with `isDefault`. Every edit, addition and `del` shows in the next request; a record
    whose client is gone is gone with it, as in Gazelle's own database, and so for what else a record hangs on.
    """

    users: dict[str, Record] = field(default_factory=dict)
    clients: dict[str, Record] = field(default_factory=dict)
    contacts: dict[str, Record] = field(default_factory=dict)
    pianos: dict[str, Record] = field(default_factory=dict)
    events: dict[str, Record] = field(default_factory=dict)
    timeline: dict[str, Record] = field(default_factory=dict)
    invoices: dict[str, Record] = field(default_factory=dict)
    estimates: dict[str, Record] = field(default_factory=dict)
    master_service_groups: dict[str, Record] = field(default_factory=dict)
    master_service_items: dict[str, Record] = field(default_factory=dict)
    recommendations: dict[str, Record] = field(default_factory=dict)
    scheduled_messages: dict[str, Record] = field(default_factory=dict)
    event_reservations: dict[str, Record] = field(default_factory=dict)
    event_cancel_notices: dict[str, Record] = field(default_factory=dict)
    taxes: dict[str, Record] = field(default_factory=dict)
    lifecycles: dict[str, Record] = field(default_factory=dict)
    localizations: dict[str, Record] = field(default_factory=settings.make_localizations)
    currencies: dict[str, Record] = field(default_factory=settings.make_currencies)
    company: Record = field(default_factory=settings.make_company)
    timezone: str = "America/Toronto"

    @classmethod
    def typical(cls, today: date, seed: int = 7) -> Account:
        """A business of 150 clients and 85 pianos; the same for the same `today` and `seed`.

        Six users (one inactive), appointments from three years ago to six months ahead, 2,500 timeline entries
        back to 2017, a conservatory with 118 contacts, 30 pianos and one visit to 25 of them, 300 invoices, 40
        estimates, a price list, and every awkward text of `texts.py`. Nothing in it is invalid: reading it whole
        must give no warning.
        """
        account = cls()
        maker = Maker(account, today, seed)
        people.add_users(maker)
        people.add_people(maker, clients=149, pianos=55)
        people.add_institution(maker, contacts=118, pianos=30, visited=25)
        money.add_money(maker, invoices=300, estimates=40)
        calendar.add_calendar(maker, events=620)
        history.add_history(maker, entries=2500)
        _add_the_rest(maker)
        people.add_odd_people(maker.aside("odd people"))
        pianos.add_odd_measurements(maker.aside("odd measurements"))
        money.add_odd_money(maker.aside("odd money"))
        awkward.add_awkwardness(maker)
        return account

    @classmethod
    def generated(
        cls,
        *,
        clients: int,
        timeline: int,
        pianos: int | None = None,
        invoices: int | None = None,
        estimates: int | None = None,
        measurements: int = 0,
        seed: int = 7,
        today: date | None = None,
    ) -> Account:
        """An account of that size, in the proportions of a real one (4,011 clients had 1,031 pianos).

        `measurements` is how many there are at least; a piano has one or none as a rule.
        """
        account = cls()
        maker = Maker(account, today or date.today(), seed)
        people.add_users(maker)
        people.add_people(maker, clients=clients, pianos=clients // 4 if pianos is None else pianos)
        money.add_money(
            maker,
            invoices=clients // 4 if invoices is None else invoices,
            estimates=clients // 50 if estimates is None else estimates,
        )
        calendar.add_calendar(maker, events=clients // 2)
        history.add_history(maker, entries=timeline)
        _add_the_rest(maker, measurements=measurements)
        return account

    def records(self, kind: str) -> dict[str, Record]:
        """The records of one kind ("clients", "timeline"…); KeyError for any other name."""
        if kind not in ID_PREFIXES:
            raise KeyError(kind)
        records: dict[str, Record] = getattr(self, kind)
        return records

    def add(self, kind: str, record: Record | None = None) -> Record:
        """Adds a record of which only the fields that matter need be said, and returns it whole.

        The rest is blank; `id`, `createdAt` and `updatedAt` (now) are given where absent.
        """
        given = record or {}
        records = self.records(kind)
        new_id = given.get("id") or next(
            id_ for number in count(1) if (id_ := f"{ID_PREFIXES[kind]}new{number}") not in records
        )
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        stamps = {} if kind == "timeline" else {"createdAt": now, "updatedAt": now}
        whole: Record = {**copy.deepcopy(BLANKS[kind]), **stamps, **given, "id": new_id}
        records[str(new_id)] = whole
        return whole


def _add_the_rest(maker: Maker, *, measurements: int = 0) -> None:
    """What the first kinds of record do without; each from a generator of its own, so that none moves another."""
    settings.add_taxes(maker.aside("taxes"))
    settings.add_lifecycles(maker.aside("lifecycles"))
    settings.add_price_list(maker.aside("price list"))
    settings.add_recommendations(maker.aside("recommendations"))
    people.add_ways_to_reach(maker.aside("ways to reach"))
    pianos.add_overdue(maker.aside("overdue"))
    pianos.add_measurements_and_photos(maker.aside("measurements and photos"))
    pianos.add_more_measurements(maker.aside("more measurements"), measurements=measurements)
    money.add_payments(maker.aside("payments"))
    money.add_tiers(maker.aside("tiers"))
    calendar.add_waiting(maker.aside("waiting"))

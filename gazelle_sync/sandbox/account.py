"""The sandbox's data: one Gazelle account, as plain dicts that a test may edit while the sandbox runs.

`Account.typical` is a small business with everything odd that a real one has; `Account.generated` is as large as
asked. How records are filtered, sorted, paged and answered must stay out: that is `graphql_api.py`.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from itertools import count
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from gazelle_sync.sandbox import texts

Record = dict[str, Any]

ID_PREFIXES = {
    "users": "usr_",
    "clients": "cli_",
    "contacts": "con_",
    "pianos": "ins_",
    "events": "evt_",
    "timeline": "tle_",
    "invoices": "inv_",
    "estimates": "est_",
}

# What a record holds where nothing was said: what the published schema calls non-null, and the usual state.
BLANKS: dict[str, Record] = {
    "users": {
        "firstName": "",
        "lastName": "",
        "email": "",
        "color": "#3b82f6",
        "status": "ACTIVE",
        "timezone": "America/Toronto",
        "isSchedulable": True,
        "accessLevel": "TECHNICIAN",
        "defaultUserLocalizationId": "loc_fr",
        "defaultClientLocalizationId": "loc_fr",
        "calendarDefaultSendAppointmentConfirmation": True,
        "calendarDefaultShowAvailability": False,
        "calendarDefaultShowConfirmationWarnings": True,
        "calendarDefaultTitleMode": "NAME_CITY",
        "calendarDefaultView": {},
        "calendarDefaultViewType": "WEEK",
        "calendarFontSize": "NORMAL",
        "calendarIcsExportEventTypes": ["APPOINTMENT"],
        "calendarMakeCompletedAndPastEventsDimmer": True,
        "calendarPromptToScheduleAfterCompletion": True,
        "calendarShowCanceledAppointments": False,
        "calendarShowDetailsOnIcsExport": True,
        "calendarShowNonschedulableUsers": False,
        "canViewCompanyMetrics": False,
        "defaultBuffer": 15,
        "genericReferralUrl": "",
        "intercomUserHash": "",
        "isTrafficEnabled": True,
        "reservationNotificationsForAllUsers": False,
        "uiExpandedTimeline": False,
        "wantsReservationNotifications": False,
    },
    "clients": {"status": "ACTIVE", "tags": [], "defaultClientLocalizationId": "loc_fr"},
    "contacts": {
        "clientId": None,
        "archived": False,
        "isDefault": False,
        "isBillingDefault": False,
        "wantsEmail": True,
        "wantsPhone": True,
        "wantsText": False,
        "allEmails": [],
        "allPhones": [],
        "allLocations": [],
    },
    "pianos": {"clientId": None, "status": "ACTIVE", "type": "UNKNOWN", "tags": [], "allPianoMeasurements": []},
    "events": {
        "clientId": None,
        "userId": None,
        "createdById": None,
        "type": "APPOINTMENT",
        "status": "ACTIVE",
        "start": None,
        "duration": 60,
        "isAllDay": False,
        "timezone": "America/Toronto",
        "pianos": [],
    },
    "timeline": {"clientId": None, "pianoId": None, "type": "USER_COMMENT", "occurredAt": "2020-01-01T12:00:00Z"},
    "invoices": {
        "clientId": None,
        "status": "OPEN",
        "archived": False,
        "tags": [],
        "allInvoiceItems": [],
        "clientUrl": "https://example.org/invoice",
        "currencyId": "CAD",
        "hasPaymentPending": False,
        "hasPaymentsPending": False,
    },
    "estimates": {
        "clientId": None,
        "pianoId": None,
        "createdById": None,
        "number": 1,
        "locale": "fr-CA",
        "tags": [],
        "isArchived": False,
        "estimatedOn": "2020-01-01",
        "expiresOn": "2020-02-01",
        "clientUrl": "https://example.org/estimate",
    },
}


def _localization(id_: str, locale: str, *, default: bool) -> Record:
    return {
        "id": id_,
        "locale": locale,
        "currencyFormat": "AFTER" if locale.startswith("fr") else "BEFORE",
        "numberFormat": "SPACE_COMMA_THREE" if locale.startswith("fr") else "COMMA_DECIMAL_THREE",
        "dateFormatLocale": locale,
        "timeFormatLocale": locale,
        "firstDayOfWeek": "SUN",
        "isClientDefault": default,
        "isUserDefault": default,
    }


def _company() -> Record:
    return {
        "id": "com_sandbox",
        "name": "Accords & Désaccords inc.",
        "email": "bonjour@accords.example",
        "countryCode": "CA",
        "countryName": "Canada",
        "createdAt": "2017-01-03T14:00:00Z",
        "areAllRemindersPaused": False,
        "gazelleStripeTransactionFee": 0,
        "isGdprRequired": False,
        "isOverBillablePianoLimit": False,
        "isParked": False,
        "isSmartRoutesEnabled": True,
        "parkedReason": "NOT_PARKED",
        "subscriptionLevel": 1,
        "supportedStripePaymentMethods": ["CARD"],
    }


@dataclass
class Account:
    """One account's records by kind and id. A record has the API's field names; a relation is its id.

    So an event has `clientId`, `userId`, `createdById` and `pianos: [{pianoId, isTuning}]`. What belongs to one
    record only is inside it: a contact's `allEmails`, `allPhones`, `allLocations`, a piano's
    `allPianoMeasurements`, an invoice's `allInvoiceItems` (with `pianoId`). A client's default contact is its
    contact with `isDefault`. Every edit, addition and `del` shows in the next request; a record whose client
    is gone is gone with it, as in Gazelle's own database.
    """

    users: dict[str, Record] = field(default_factory=dict)
    clients: dict[str, Record] = field(default_factory=dict)
    contacts: dict[str, Record] = field(default_factory=dict)
    pianos: dict[str, Record] = field(default_factory=dict)
    events: dict[str, Record] = field(default_factory=dict)
    timeline: dict[str, Record] = field(default_factory=dict)
    invoices: dict[str, Record] = field(default_factory=dict)
    estimates: dict[str, Record] = field(default_factory=dict)
    localizations: dict[str, Record] = field(
        default_factory=lambda: {
            "loc_fr": _localization("loc_fr", "fr-CA", default=True),
            "loc_en": _localization("loc_en", "en-CA", default=False),
        }
    )
    currencies: dict[str, Record] = field(
        default_factory=lambda: {
            "CAD": {"id": "CAD", "code": "CAD", "label": "CAD", "symbol": "$", "divisor": 100, "decimalDigits": 2}
        }
    )
    company: Record = field(default_factory=_company)
    timezone: str = "America/Toronto"

    @classmethod
    def typical(cls, today: date, seed: int = 7) -> Account:
        """A business of 150 clients and 85 pianos; the same for the same `today` and `seed`.

        Six users (one inactive), appointments from three years ago to six months ahead, 2,500 timeline entries
        back to 2017, a conservatory with 118 contacts, 30 pianos and one visit to 25 of them, and every awkward
        text of `texts.py`. Nothing in it is invalid: reading it whole must give no warning.
        """
        maker = _Maker(today, seed)
        maker.people(clients=149, pianos=55)
        maker.institution(contacts=118, pianos=30, visited=25)
        maker.money(invoices=300, estimates=40)
        maker.calendar(events=620)
        maker.history(entries=2500)
        maker.awkwardness()
        return maker.account

    @classmethod
    def generated(
        cls, *, clients: int, timeline: int, pianos: int | None = None, seed: int = 7, today: date | None = None
    ) -> Account:
        """An account of that size, in the proportions of a real one (4,011 clients had 1,031 pianos)."""
        maker = _Maker(today or date.today(), seed)
        maker.people(clients=clients, pianos=clients // 4 if pianos is None else pianos)
        maker.money(invoices=clients // 4, estimates=clients // 50)
        maker.calendar(events=clients // 2)
        maker.history(entries=timeline)
        return maker.account

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
        blank = {key: list(value) if isinstance(value, list) else value for key, value in BLANKS[kind].items()}
        stamps = {} if kind == "timeline" else {"createdAt": now, "updatedAt": now}
        whole: Record = {**blank, **stamps, **given, "id": new_id}
        records[str(new_id)] = whole
        return whole


class _Maker:
    """Fills an account from one seeded generator. The order of the calls is part of what makes it repeatable."""

    def __init__(self, today: date, seed: int) -> None:
        self.account = Account()
        self.today = today
        self.rng = Random(f"{today}/{seed}")
        self.zone = ZoneInfo(self.account.timezone)
        self.opened = datetime(2017, 1, 3, 14, tzinfo=timezone.utc)
        self.now = datetime.combine(today, time(12), timezone.utc)
        self.pianos_of: dict[str, list[str]] = {}
        self._add_users()
        self.technicians = list(self.account.users)

    # -- small makers -------------------------------------------------------------------------------------------

    def _id(self, prefix: str) -> str:
        return prefix + "".join(self.rng.choices(string.ascii_letters + string.digits, k=16))

    def _put(self, kind: str, record: Record, prefix: str | None = None) -> Record:
        whole = {"id": self._id(prefix or ID_PREFIXES[kind]), **BLANKS[kind], **record}
        self.account.records(kind)[whole["id"]] = whole
        return whole

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _moment(self, start: datetime, end: datetime) -> datetime:
        return start + timedelta(seconds=self.rng.randrange(max(1, int((end - start).total_seconds()))))

    def _iso(self, moment: datetime) -> str:
        """UTC with Z as a rule, at times with an offset, as Gazelle sends them."""
        if self._chance(0.05):
            return moment.astimezone(self.zone).isoformat(timespec="seconds")
        return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _stamps(self, created: datetime | None = None) -> Record:
        created = created or self._moment(self.opened, self.now - timedelta(days=1))
        return {"createdAt": self._iso(created), "updatedAt": self._iso(self._moment(created, self.now))}

    def _day(self, days_back: int) -> str:
        return str(self.today - timedelta(days=self.rng.randrange(days_back)))

    # -- people and pianos --------------------------------------------------------------------------------------

    def _add_users(self) -> None:
        people = [
            ("Allan", "Sutton", "ADMIN", "ACTIVE", True),
            ("Louise", "Bélanger", "ASSISTANT", "ACTIVE", False),
            ("Nicolas", "Lessard", "TECHNICIAN", "ACTIVE", True),
            ("Jean-Philippe", "Reny", "TECHNICIAN", "ACTIVE", True),
            ("Siobhán", "O'Brien", "TECHNICIAN", "ACTIVE", True),
            ("Ancien", "Technicien", "TECHNICIAN", "INACTIVE", False),
        ]
        for number, (first, last, level, status, schedulable) in enumerate(people):
            self._put(
                "users",
                {
                    "firstName": first,
                    "lastName": last,
                    "email": f"technicien{number}@accords.example",
                    "accessLevel": level,
                    "status": status,
                    "isSchedulable": schedulable,
                    "color": f"#{self.rng.randrange(0x1000000):06x}",
                    **self._stamps(self.opened),
                },
            )

    def people(self, *, clients: int, pianos: int) -> None:
        """Clients with one to three contacts each, and pianos spread among them; most clients have none."""
        for number in range(clients):
            client = self._client(number)
            if self._chance(0.06):
                continue  # nobody to call: its default contact is null
            for position in range(self.rng.choice([1, 1, 1, 2, 3])):
                self._contact(client, position, is_default=position == 0 and number % 31 != 5)
        owners = list(self.account.clients)
        for _ in range(pianos):
            self._piano(self.rng.choice(owners))

    def _client(self, number: int) -> Record:
        name = self.rng.choice([None, None, None, None, "", "   ", self.rng.choice(texts.COMPANIES)])
        english = self._chance(0.3)
        # The first client is as old as the account: a list read by creation date alone shows the whole range.
        stamps = self._stamps(self.opened + timedelta(days=2) if number == 0 else None)
        inactive = self._chance(0.08)
        client = {
            "companyName": name,
            "status": "INACTIVE" if inactive else self.rng.choice(["ACTIVE"] * 8 + ["PROSPECT", "NEW"]),
            "clientType": self.rng.choice([None, "residential", "church", "school"]),
            "tags": self.rng.sample(texts.TAGS, self.rng.choice([0, 0, 1, 2])),
            "localizationId": self.rng.choice([None, "loc_en" if english else "loc_fr"]),
            "defaultClientLocalizationId": "loc_en" if english else "loc_fr",
            "preferredTechnicianId": self.rng.choice([None, *self.technicians]),
            "lifecycleState": self.rng.choice([None, "active", "paused"]),
            "region": "QC",
            "personalNotes": self.rng.choice([None, *texts.REMARKS]),
            "preferenceNotes": self.rng.choice([None, *texts.REMARKS]),
            "referredBy": self.rng.choice([None, None, "Google", "Bouche à oreille"]),
            "noContactUntil": str(self.today + timedelta(days=90)) if self._chance(0.04) else None,
            "noContactReason": "En voyage" if self._chance(0.04) else None,
            "reasonInactiveCode": "MOVED" if inactive else None,
            "reasonInactiveDetails": "Déménagé" if inactive else None,
            "referenceId": f"{number:05}" if self._chance(0.2) else None,
            "ignoreSafetyChecks": False,
            **{f"custom{slot}": None for slot in range(1, 11)},
            **stamps,
        }
        if self._chance(0.1):
            client["custom1"] = self.rng.choice(texts.REMARKS)
        return self._put("clients", client)

    def _contact(self, client: Record, position: int, *, is_default: bool, **more: Any) -> Record:
        first, last = self.rng.choice(texts.FIRST_NAMES), self.rng.choice(texts.LAST_NAMES)
        contact: Record = {
            "clientId": client["id"],
            "firstName": first,
            "middleName": "J." if self._chance(0.05) else None,
            "lastName": last if self._chance(0.97) else None,
            "title": self.rng.choice([None, None, "Mme", "M.", "Dr"]),
            "suffix": "Jr." if self._chance(0.02) else None,
            "role": None,
            "isDefault": is_default,
            "isBillingDefault": is_default,
            "archived": position > 0 and self._chance(0.25),
            "wantsEmail": self._chance(0.8),
            "wantsPhone": self._chance(0.8),
            "wantsText": self._chance(0.4),
            "sortOrder": position,
            "allEmails": [],
            "allPhones": [],
            "allLocations": [],
            **self._stamps(),
            **more,
        }
        if self._chance(0.85):
            address = f"{first}.{last}{self.rng.randrange(1000)}@courriel.example".replace(" ", "").lower()
            contact["allEmails"].append({"id": self._id("eml_"), "email": address, "isDefault": True})
        if self._chance(0.9):
            contact["allPhones"].append(
                {
                    "id": self._id("pho_"),
                    "phoneNumber": f"514555{self.rng.randrange(10000):04}",
                    "extension": "204" if self._chance(0.1) else None,
                    "isDefault": True,
                    "type": self.rng.choice(["MOBILE", "HOME", "WORK"]),
                    **self._stamps(),
                }
            )
        if self._chance(0.9):
            contact["allLocations"].append(self._location())
        return self._put("contacts", contact)

    def _location(self) -> Record:
        city, region, postal_code = self.rng.choice(texts.CITIES)
        located = self._chance(0.8)
        return {
            "id": self._id("loc_"),
            "street1": f"{self.rng.randrange(1, 9999)}, {self.rng.choice(texts.STREETS)}",
            "street2": self.rng.choice([None, None, "", "app. 3", "Suite #200"]),
            "municipality": city,
            "region": region,
            "postalCode": postal_code,
            "countryCode": "US" if region == "NY" else "CA",
            # Strings: the published type, and a float would lose the zeros.
            "latitude": f"{self.rng.uniform(45, 47):.6f}" if located else None,
            "longitude": f"{-self.rng.uniform(71, 76):.6f}" if located else None,
            "geocodeType": "ROOFTOP" if located else "UNKNOWN",
            "isBadAddress": False,
            "locationType": "ADDRESS",
            "usageType": "STREET",
            **self._stamps(),
        }

    def _piano(self, client_id: str, **more: Any) -> Record:
        make, models = self.rng.choice(texts.MAKES)
        interval = self.rng.choice([None, 6, 12, 12])
        last = self._day(900) if self._chance(0.8) else None
        dampp_chaser, player = self._chance(0.25), self._chance(0.03)
        grand = self._chance(0.4)
        due = str(self.today + timedelta(days=self.rng.randrange(400)))
        piano = self._put(
            "pianos",
            {
                "clientId": client_id,
                "make": make,
                "model": self.rng.choice([None, "", *models]),
                # 13 % have none in a real account.
                "serialNumber": None if self._chance(0.13) else str(self.rng.randrange(10_000, 7_000_000)),
                "type": "GRAND" if grand else self.rng.choice(["UPRIGHT", "UPRIGHT", "SPINET", "STUDIO", "UNKNOWN"]),
                "year": self.rng.choice([None, self.rng.randrange(1885, self.today.year)]),
                "size": self.rng.choice([None, "6'11\"", "173 cm"]) if grand else None,
                "location": self.rng.choice([None, *texts.ROOMS]),
                "notes": self.rng.choice([None, *texts.REMARKS]),
                "status": self.rng.choice(["ACTIVE"] * 12 + ["INACTIVE", "UNDER_RESTORATION"]),
                "tags": self.rng.sample(texts.TAGS, self.rng.choice([0, 0, 0, 1])),
                "caseColor": self.rng.choice([None, "ébène", "walnut", "blanc"]),
                "caseFinish": self.rng.choice([None, "satin", "poli"]),
                "hasIvory": self._chance(0.05),
                "rental": self._chance(0.05),
                "rentalContractEndsOn": str(self.today + timedelta(days=200)) if self._chance(0.04) else None,
                "consignment": False,
                "needsRepairOrRebuilding": self._chance(0.1),
                "totalLoss": False,
                "useType": self.rng.choice([None, "home", "concert", "teaching"]),
                "serviceIntervalMonths": interval,
                "calculatedLastService": last,
                "calculatedNextService": due if interval else None,
                "eventLastService": last,
                "manualLastService": self._day(3000) if self._chance(0.1) else None,
                "nextServiceOverride": None,
                "playerInstalled": player,
                "playerMake": "PianoDisc" if player else None,
                "damppChaserInstalled": dampp_chaser,
                "damppChaserHumidistatModel": "H-2" if dampp_chaser else None,
                "damppChaserMfgDate": self._day(4000) if dampp_chaser else None,
                "potentialPerformanceLevel": self.rng.choice([None, 70, 85, 100]),
                "lifecycleState": None,
                "referenceId": None,
                "allPianoMeasurements": [],
                **self._stamps(),
                **more,
            },
        )
        piano["allPianoMeasurements"] = [
            {
                "id": self._id("pme_"),
                "pianoId": piano["id"],
                "takenOn": self._day(1500),
                "temperature": self.rng.randrange(17, 26),
                "humidity": self.rng.randrange(20, 65),
                "a4Pitch": self.rng.randrange(43_600, 44_300),
                **self._stamps(),
            }
            for _ in range(self.rng.choice([0, 0, 1, 3]))
        ]
        self.pianos_of.setdefault(client_id, []).append(piano["id"])
        return piano

    def institution(self, *, contacts: int, pianos: int, visited: int) -> None:
        """A school: more contacts than a page holds, and one visit to many of its pianos, tomorrow at nine."""
        client = self._client(number=1)
        client.update(companyName=texts.INSTITUTION, status="ACTIVE", clientType="school", tags=["école", "VIP"])
        for position in range(contacts):
            role = self.rng.choice(texts.DEPARTMENTS)
            self._contact(client, position, is_default=position == 0, role=role, archived=position % 9 == 8)
        for number in range(pianos):
            self._piano(client["id"], location=f"Studio {101 + number}", status="ACTIVE")
        start = datetime.combine(self.today + timedelta(days=1), time(9), self.zone)
        visit = self._event("APPOINTMENT", start, client_id=client["id"])
        visit.update(
            status="ACTIVE",
            duration=480,
            title="Accord annuel",
            pianos=[
                {"pianoId": piano, "isTuning": number % 5 != 4}
                for number, piano in enumerate(self.pianos_of[client["id"]][:visited])
            ],
        )

    # -- the calendar -------------------------------------------------------------------------------------------

    def calendar(self, *, events: int) -> None:
        """Appointments from three years ago to six months ahead, a quarter of them within five weeks of today."""
        clients = list(self.account.clients)
        for number in range(events):
            days = self.rng.randrange(-35, 36) if number % 4 == 0 else self.rng.randrange(-1095, 183)
            # 22:30 in Toronto is the next day in UTC: the 14th at 22:30 is the trap, so each month has one.
            evening = number % 12 == 0
            day = self.today + timedelta(days=days)
            at = time(22, 30) if evening else time(self.rng.randrange(8, 18), self.rng.choice([0, 15, 30, 45]))
            if evening:
                day = day.replace(day=14)
            kind = self.rng.choices(["APPOINTMENT", "PERSONAL", "MEMO", "SYNCED"], [88, 5, 4, 3])[0]
            owner = self.rng.choice(clients) if kind == "APPOINTMENT" else None
            self._event("APPOINTMENT" if evening else kind, datetime.combine(day, at, self.zone), client_id=owner)

    def _event(self, kind: str, start: datetime, *, client_id: str | None) -> Record:
        past = start < self.now
        usual = ["COMPLETE"] * 16 + ["ACTIVE"] * 2 if past else ["ACTIVE"] * 18
        status = self.rng.choice([*usual, "CANCELED", "NO_SHOW" if past else "CANCELED"])
        all_day = kind in ("PERSONAL", "MEMO") and self._chance(0.5)
        confirmed = kind == "APPOINTMENT" and self._chance(0.4)
        created = min(start, self.now) - timedelta(days=self.rng.randrange(1, 60))
        pianos = self.pianos_of.get(client_id or "", [])
        address = f"{self.rng.randrange(1, 9999)}, {self.rng.choice(texts.STREETS)}"
        return self._put(
            "events",
            {
                "type": kind,
                "status": status if kind == "APPOINTMENT" else "ACTIVE",
                "start": self._iso(start.replace(hour=0, minute=0) if all_day else start),
                "duration": 1440 if all_day else self.rng.choice([30, 60, 90, 120]),
                "isAllDay": all_day,
                "title": self.rng.choice(texts.SERVICES if kind == "APPOINTMENT" else ["Dentiste", "Mémo"]),
                "notes": self.rng.choice([None, *texts.REMARKS]),
                "clientId": client_id,
                "userId": self.rng.choice(self.technicians),
                "createdById": self.rng.choice([None, *self.technicians]),
                "addressLine": address if client_id else None,
                "confirmedByClient": confirmed,
                "confirmedAt": self._iso(created) if confirmed else None,
                "source": self.rng.choice([None, "MANUAL", "SCHEDULER"]),
                "travelMode": self.rng.choice([None, "DRIVING", "BICYCLING"]),
                "recurrenceId": self._id("rec_") if self._chance(0.02) else None,
                "buffer": 15,
                "pianos": [{"pianoId": piano, "isTuning": self._chance(0.8)} for piano in pianos[:3]],
                **self._stamps(created),
            },
        )

    # -- money and history --------------------------------------------------------------------------------------

    def money(self, *, invoices: int, estimates: int) -> None:
        """Invoices with their lines, in cents and hundredths, and estimates (a piano each)."""
        clients = list(self.account.clients)
        for number in range(1, invoices + 1):
            self._invoice(number, self.rng.choice(clients))
        owners = list(self.pianos_of) or clients
        for number in range(1, estimates + 1):
            client_id = self.rng.choice(owners)
            pianos = self.pianos_of.get(client_id)
            if not pianos:
                continue  # Gazelle has no estimate without a piano
            on = date.fromisoformat(self._day(1500))
            self._put(
                "estimates",
                {
                    "number": number,
                    "clientId": client_id,
                    "pianoId": self.rng.choice(pianos),
                    "createdById": self.rng.choice(self.technicians),
                    "estimatedOn": str(on),
                    "expiresOn": str(on + timedelta(days=30)),
                    **self._stamps(),
                },
            )

    def _invoice(self, number: int, client_id: str) -> Record:
        pianos = [None, *self.pianos_of.get(client_id, [])]
        items = []
        for position in range(self.rng.choice([1, 1, 2, 4])):
            amount, quantity = self.rng.randrange(2_000, 30_000), self.rng.choice([100, 100, 150, 200])
            sub_total = amount * quantity // 100
            tax = round(sub_total * 0.14975)
            items.append(
                {
                    "id": self._id("ini_"),
                    "description": self.rng.choice(texts.SERVICES),
                    "type": self.rng.choice(["LABOR_FIXED_RATE", "LABOR_HOURLY", "EXPENSE", "MILEAGE"]),
                    "amount": amount,
                    "quantity": quantity,
                    "subTotal": sub_total,
                    "taxTotal": tax,
                    "total": sub_total + tax,
                    "taxable": True,
                    "billable": True,
                    "taxes": [],
                    "sequenceNumber": position,
                    "pianoId": self.rng.choice(pianos),
                    **self._stamps(),
                }
            )
        total = sum(item["total"] for item in items)
        status = self.rng.choice(["PAID"] * 8 + ["OPEN", "OVERDUE", "DRAFT", "CANCELED"])
        paid = total if status == "PAID" else 0
        technician = self.rng.choice(self.technicians)
        return self._put(
            "invoices",
            {
                "number": number,
                "clientId": client_id,
                "status": status,
                "createdById": technician,
                "assignedToId": technician,
                "subTotal": sum(item["subTotal"] for item in items),
                "taxTotal": sum(item["taxTotal"] for item in items),
                "total": total,
                "paidTotal": paid,
                "dueTotal": total - paid,
                "tipTotal": 0,
                "dueOn": self._day(1500),
                "netDays": 30,
                "notes": self.rng.choice([None, *texts.REMARKS]),
                "allInvoiceItems": items,
                **self._stamps(),
            },
        )

    def history(self, *, entries: int) -> None:
        """Timeline entries from 2017 to yesterday, newest first, every published type among them."""
        newest = self.now - timedelta(hours=12)
        span = (newest - self.opened) / max(entries, 1)
        clients = list(self.account.clients)
        linkable = {
            "appointmentId": [event for event in self.account.events.values() if event["clientId"]],
            "invoiceId": list(self.account.invoices.values()),
            "estimateId": list(self.account.estimates.values()),
        }
        for number in range(entries):
            # The first ones are of every type in turn; the rest mostly what a business really has.
            kind = TIMELINE_TYPES[number] if number < len(TIMELINE_TYPES) else self.rng.choice(_USUAL_TYPES)
            link = _LINKS.get(kind.split("_")[0])
            target = self.rng.choice(linkable[link]) if link and linkable[link] else None
            client_id = target["clientId"] if target else self.rng.choice(clients)
            pianos = self.pianos_of.get(client_id)
            self._put(
                "timeline",
                {
                    "type": kind,
                    "occurredAt": self._iso(newest - span * number),
                    "clientId": client_id,
                    "pianoId": self.rng.choice(pianos) if pianos and self._chance(0.7) else None,
                    "userId": self.rng.choice([None, *self.technicians]),
                    "summary": self.rng.choice([None, *texts.SERVICES]),
                    "comment": self.rng.choice([None, *texts.REMARKS]),
                    "duration": None,
                    "emailStatus": "DELIVERED" if kind == "CONTACT_EMAIL_AUTOMATED" else None,
                    "smsStatus": "SENT" if kind == "CONTACT_SMS_AUTOMATED" else None,
                    "alertType": "INFO" if kind == "SYSTEM_NOTIFICATION" else None,
                    **({link: target["id"]} if link and target else {}),
                },
                prefix=self.rng.choice(["tle_", "tme_"]),
            )

    def awkwardness(self) -> None:
        """Every awkward text once in every field that people type into, a different record for each."""
        for kind, fields in _TYPED_IN.items():
            records = list(self.account.records(kind).values())
            for offset, name in enumerate(fields):  # shifted, so that a record is not odd in all its fields
                for number, text in enumerate(texts.AWKWARD):
                    # Nobody names a company in 100 kB; that text is for the fields that are notes.
                    if len(text) < 1000 or name in ("personalNotes", "notes", "comment"):
                        records[(number + offset * 7) % len(records)][name] = text
        for kind in ("clients", "pianos"):
            for record, tags in zip(self.account.records(kind).values(), texts.AWKWARD_TAGS, strict=False):
                record["tags"] = list(tags)


TIMELINE_TYPES = [
    "CONTACT_EMAIL_AUTOMATED", "CONTACT_EMAIL_MANUAL", "CONTACT_SMS_AUTOMATED",
    "CONTACT_SMS_MANUAL", "CONTACT_PHONE_AUTOMATED", "CONTACT_PHONE_MANUAL_TALKED",
    "CONTACT_PHONE_MANUAL_MESSAGE", "CONTACT_POST_AUTOMATED", "CONTACT_POST_MANUAL",
    "CONTACT_OTHER_MANUAL", "ERROR_MESSAGE", "SYSTEM_MESSAGE", "USER_COMMENT",
    "SERVICE_ENTRY_AUTOMATED", "SERVICE_ENTRY_MANUAL", "APPOINTMENT", "APPOINTMENT_LOG", "INVOICE",
    "INVOICE_LOG", "INVOICE_PAYMENT", "INVOICE_SYNC", "PIANO_MEASUREMENT",
    "SCHEDULED_MESSAGE_EMAIL", "SCHEDULED_MESSAGE_SMS", "SCHEDULED_MESSAGE_PHONE", "ESTIMATE",
    "ESTIMATE_LOG", "SYSTEM_NOTIFICATION",
]  # fmt: skip
_USUAL_TYPES = [
    *TIMELINE_TYPES,
    *["SERVICE_ENTRY_MANUAL", "SERVICE_ENTRY_AUTOMATED", "APPOINTMENT", "USER_COMMENT", "CONTACT_EMAIL_AUTOMATED"] * 8,
]
_LINKS = {"APPOINTMENT": "appointmentId", "INVOICE": "invoiceId", "ESTIMATE": "estimateId"}
_TYPED_IN = {
    "clients": ["personalNotes", "preferenceNotes", "companyName", "custom1", "custom2", "custom10", "referredBy"],
    "contacts": ["role", "lastName"],
    "pianos": ["notes", "location", "model"],
    "events": ["notes", "title", "addressLine"],
    "timeline": ["comment", "summary"],
    "invoices": ["notes"],
}

"""The account's people: users, clients, their contacts, and how to reach each of them."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from gazelle_sync.sandbox import texts
from gazelle_sync.sandbox.account.calendar import add_event
from gazelle_sync.sandbox.account.kinds import Record
from gazelle_sync.sandbox.account.maker import Maker
from gazelle_sync.sandbox.account.pianos import add_piano


def add_users(maker: Maker) -> None:
    people = [
        ("Allan", "Sutton", "ADMIN", "ACTIVE", True),
        ("Louise", "Bélanger", "ASSISTANT", "ACTIVE", False),
        ("Nicolas", "Lessard", "TECHNICIAN", "ACTIVE", True),
        ("Jean-Philippe", "Reny", "TECHNICIAN", "ACTIVE", True),
        ("Siobhán", "O'Brien", "TECHNICIAN", "ACTIVE", True),
        ("Ancien", "Technicien", "TECHNICIAN", "INACTIVE", False),
    ]
    for number, (first, last, level, status, schedulable) in enumerate(people):
        maker.put(
            "users",
            {
                "firstName": first,
                "lastName": last,
                "email": f"technicien{number}@accords.example",
                "accessLevel": level,
                "status": status,
                "isSchedulable": schedulable,
                "color": f"#{maker.rng.randrange(0x1000000):06x}",
                **maker.stamps(maker.opened),
            },
        )


def add_people(maker: Maker, *, clients: int, pianos: int) -> None:
    """Clients with one to three contacts each, and pianos spread among them; most clients have none."""
    for number in range(clients):
        client = _add_client(maker, number)
        if maker.chance(0.06):
            continue  # nobody to call: its default contact is null
        for position in range(maker.rng.choice([1, 1, 1, 2, 3])):
            _add_contact(maker, client, position, is_default=position == 0 and number % 31 != 5)
    owners = list(maker.account.clients)
    for _ in range(pianos):
        add_piano(maker, maker.rng.choice(owners))


def _add_client(maker: Maker, number: int) -> Record:
    name = maker.rng.choice([None, None, None, None, "", "   ", maker.rng.choice(texts.COMPANIES)])
    english = maker.chance(0.3)
    # The first client is as old as the account: a list read by creation date alone shows the whole range.
    stamps = maker.stamps(maker.opened + timedelta(days=2) if number == 0 else None)
    inactive = maker.chance(0.08)
    client = {
        "companyName": name,
        "status": "INACTIVE" if inactive else maker.rng.choice(["ACTIVE"] * 8 + ["PROSPECT", "NEW"]),
        "clientType": maker.rng.choice([None, "residential", "church", "school"]),
        "tags": maker.rng.sample(texts.TAGS, maker.rng.choice([0, 0, 1, 2])),
        "localizationId": maker.rng.choice([None, "loc_en" if english else "loc_fr"]),
        "defaultClientLocalizationId": "loc_en" if english else "loc_fr",
        "preferredTechnicianId": maker.rng.choice([None, *maker.technicians]),
        "lifecycleState": maker.rng.choice([None, "active", "paused"]),
        "region": "QC",
        "personalNotes": maker.rng.choice([None, *texts.REMARKS]),
        "preferenceNotes": maker.rng.choice([None, *texts.REMARKS]),
        "referredBy": maker.rng.choice([None, None, "Google", "Bouche à oreille"]),
        "noContactUntil": str(maker.today + timedelta(days=90)) if maker.chance(0.04) else None,
        "noContactReason": "En voyage" if maker.chance(0.04) else None,
        "reasonInactiveCode": "MOVED" if inactive else None,
        "reasonInactiveDetails": "Déménagé" if inactive else None,
        "referenceId": f"{number:05}" if maker.chance(0.2) else None,
        "ignoreSafetyChecks": False,
        **{f"custom{slot}": None for slot in range(1, 11)},
        **stamps,
    }
    if maker.chance(0.1):
        client["custom1"] = maker.rng.choice(texts.REMARKS)
    return maker.put("clients", client)


def _add_contact(maker: Maker, client: Record, position: int, *, is_default: bool, **more: Any) -> Record:
    first, last = maker.rng.choice(texts.FIRST_NAMES), maker.rng.choice(texts.LAST_NAMES)
    contact: Record = {
        "clientId": client["id"],
        "firstName": first,
        "middleName": "J." if maker.chance(0.05) else None,
        "lastName": last if maker.chance(0.97) else None,
        "title": maker.rng.choice([None, None, "Mme", "M.", "Dr"]),
        "suffix": "Jr." if maker.chance(0.02) else None,
        "role": None,
        "isDefault": is_default,
        "isBillingDefault": is_default,
        "archived": position > 0 and maker.chance(0.25),
        "wantsEmail": maker.chance(0.8),
        "wantsPhone": maker.chance(0.8),
        "wantsText": maker.chance(0.4),
        "sortOrder": position,
        "allEmails": [],
        "allPhones": [],
        "allLocations": [],
        **maker.stamps(),
        **more,
    }
    if maker.chance(0.85):
        address = f"{first}.{last}{maker.rng.randrange(1000)}@courriel.example".replace(" ", "").lower()
        contact["allEmails"].append({"id": maker.id("eml_"), "email": address, "isDefault": True})
    if maker.chance(0.9):
        contact["allPhones"].append(
            {
                "id": maker.id("pho_"),
                "phoneNumber": f"514555{maker.rng.randrange(10000):04}",
                "extension": "204" if maker.chance(0.1) else None,
                "isDefault": True,
                "type": maker.rng.choice(["MOBILE", "HOME", "WORK"]),
                **maker.stamps(),
            }
        )
    if maker.chance(0.9):
        contact["allLocations"].append(make_location(maker))
    return maker.put("contacts", contact)


def make_location(maker: Maker) -> Record:
    city, region, postal_code = maker.rng.choice(texts.CITIES)
    located = maker.chance(0.8)
    return {
        "id": maker.id("loc_"),
        "street1": f"{maker.rng.randrange(1, 9999)}, {maker.rng.choice(texts.STREETS)}",
        "street2": maker.rng.choice([None, None, "", "app. 3", "Suite #200"]),
        "municipality": city,
        "region": region,
        "postalCode": postal_code,
        "countryCode": "US" if region == "NY" else "CA",
        # Strings: the published type, and a float would lose the zeros.
        "latitude": f"{maker.rng.uniform(45, 47):.6f}" if located else None,
        "longitude": f"{-maker.rng.uniform(71, 76):.6f}" if located else None,
        "geocodeType": "ROOFTOP" if located else "UNKNOWN",
        "isBadAddress": False,
        "locationType": "ADDRESS",
        "usageType": "STREET",
        **maker.stamps(),
    }


def add_institution(maker: Maker, *, contacts: int, pianos: int, visited: int) -> None:
    """A school: more contacts than a page holds, and one visit to many of its pianos, tomorrow at nine."""
    client = _add_client(maker, number=1)
    client.update(companyName=texts.INSTITUTION, status="ACTIVE", clientType="school", tags=["école", "VIP"])
    for position in range(contacts):
        role = maker.rng.choice(texts.DEPARTMENTS)
        _add_contact(maker, client, position, is_default=position == 0, role=role, archived=position % 9 == 8)
    for number in range(pianos):
        add_piano(maker, client["id"], location=f"Studio {101 + number}", status="ACTIVE")
    start = datetime.combine(maker.today + timedelta(days=1), time(9), maker.zone)
    visit = add_event(maker, "APPOINTMENT", start, client_id=client["id"])
    visit.update(
        status="ACTIVE",
        duration=480,
        title="Accord annuel",
        pianos=[
            {"pianoId": piano, "isTuning": number % 5 != 4}
            for number, piano in enumerate(maker.pianos_of[client["id"]][:visited])
        ],
    )


def add_ways_to_reach(maker: Maker) -> None:
    """A second e-mail, telephone or address here and there, and what is known of each telephone.

    `localization` is null for nearly everybody: who has none is written to in `defaultClientLocalization`.
    """
    for client in maker.account.clients.values():
        if maker.chance(0.9):
            client["localizationId"] = None
    for contact in maker.account.contacts.values():
        for phone in contact["allPhones"]:
            confirmed = maker.chance(0.3)
            phone.update(
                confirmedAt=maker.iso(maker.now) if confirmed else None,
                confirmedCarrier=maker.rng.choice(["Bell", "Vidéotron", None]) if confirmed else None,
                confirmedClass=maker.rng.choice(["MOBILE", "LANDLINE", "VOIP", "UNKNOWN"]) if confirmed else None,
            )
        if maker.chance(0.15):
            contact["allEmails"].append(_email(maker, "bureau"))
        if maker.chance(0.15):
            contact["allPhones"].append(_phone(maker, "WORK", f"819555{maker.rng.randrange(10000):04}"))
        if maker.chance(0.1):
            usage = maker.rng.choice(["MAILING", "BILLING"])
            contact["allLocations"].append({**make_location(maker), "usageType": usage})


def _email(maker: Maker, name: str) -> Record:
    address = f"{name}{maker.rng.randrange(10_000)}@courriel.example"
    return {"id": maker.id("eml_"), "email": address, "isDefault": False}


def _phone(maker: Maker, kind: str, number: str | None) -> Record:
    return {
        "id": maker.id("pho_"),
        "phoneNumber": number,
        "extension": None,
        "isDefault": False,
        "type": kind,
        "confirmedAt": None,
        "confirmedCarrier": None,
        "confirmedClass": None,
        **maker.stamps(),
    }


def add_odd_people(maker: Maker) -> None:
    """A contact of eleven e-mail addresses, telephones and places of every sort, and clients who sent each other."""
    reachable = [each for each in maker.account.contacts.values() if not each["archived"]]
    popular, wandering, abroad = reachable[3], reachable[4], reachable[5]
    popular["allEmails"] += [_email(maker, f"adresse.{n}.") for n in range(11 - len(popular["allEmails"]))]
    popular["allEmails"][-1]["email"] = None
    kinds = ["UNKNOWN", "PRIMARY", "SECONDARY", "MOBILE", "HOME", "WORK", "FAX"]
    numbers = ["+33 1 42 68 53 00", "514-555-PIANO", "", None, "5145550123 p. 4", "911", "5145550123"]
    abroad["allPhones"] += [_phone(maker, kind, number) for kind, number in zip(kinds, numbers, strict=True)]
    wandering["allLocations"] += [
        {**make_location(maker), "usageType": "MAILING", "isBadAddress": True, "geocodeType": "ADDRESS_NOT_FOUND"},
        {
            **make_location(maker),
            **dict.fromkeys(("street1", "street2", "municipality", "region", "postalCode")),
            "usageType": "BILLING",
            "locationType": "WHAT3WORDS",
            "what3words": "filled.count.soap",
        },
        {
            **make_location(maker),
            "usageType": "BILLING",
            "locationType": "COORDINATES",
            "street1": "",
            "latitude": "45.500000",
            "longitude": "-73.567000",
        },
    ]
    clients = list(maker.account.clients.values())
    # A chain, the sender behind the one who was sent, and two who sent each other.
    for sent, sender in [(2, 140), (3, 2), (4, 2), (20, 21), (21, 20)]:
        clients[sent].update(
            referralClientId=clients[sender]["id"], referredBy="Client", referredByNotes="Une amie de la chorale"
        )

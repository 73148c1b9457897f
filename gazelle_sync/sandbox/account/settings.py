"""What a company sets up once: itself, its languages and currencies, taxes, reminders, and the price list."""

from __future__ import annotations

from typing import Any

from gazelle_sync.sandbox import texts
from gazelle_sync.sandbox.account.kinds import Record
from gazelle_sync.sandbox.account.maker import Maker


def make_company() -> Record:
    """The company as it is for an administrator."""
    return {
        "id": "com_sandbox",
        "name": "Accords & Désaccords inc.",
        "email": "bonjour@accords.example",
        "phoneNumber": "5145550100",
        "street1": "4200, rue Saint-Denis",
        "street2": None,
        "municipality": "Montréal",
        "region": "QC",
        "postalCode": "H2J 2K8",
        "countryCode": "CA",
        "countryName": "Canada",
        "website": "https://accords.example",
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
        "upcomingMaintenanceNotice": None,
        "settings": {
            "localization": {
                "defaultClientLocalizationId": "loc_fr",
                "defaultUserLocalizationId": "loc_fr",
                "defaultCurrencyId": "CAD",
            }
        },
    }


def make_localizations() -> dict[str, Record]:
    """French, the default, and English. The published words on a locale name `en_US`, so it is written like that."""
    return {"loc_fr": _localization("loc_fr", "fr_CA", default=True), "loc_en": _localization("loc_en", "en_CA")}


def _localization(id_: str, locale: str, *, default: bool = False) -> Record:
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


def make_currencies() -> dict[str, Record]:
    """Canadian dollars, the usual, and American ones."""
    more = {"symbol": "$", "divisor": 100, "decimalDigits": 2}
    return {code: {"id": code, "code": code, "label": code, **more} for code in ("CAD", "USD")}


def add_taxes(maker: Maker) -> None:
    """Two taxes on everything, one of them with a fraction of a percent, one that was, and one of nothing.

    The unit of the published `rate: Int!` is not; thousandths of a percent hold the three decimals that Quebec's has.
    """
    for id_, name, rate, is_default, state in [
        ("tax_tps", "TPS", 5_000, True, "ACTIVE"),
        ("tax_tvq", "TVQ", 9_975, True, "ACTIVE"),
        ("tax_hst", "HST (Ontario)", 13_000, False, "HISTORICAL"),
        ("tax_none", "Détaxé", 0, False, "ACTIVE"),
        ("tax_old", "", 7_500, None, None),
    ]:
        tax = {"id": id_, "name": name, "rate": rate, "default": is_default, "activeOrHistorical": state}
        maker.put("taxes", tax)


def add_lifecycles(maker: Maker) -> None:
    """Three ways of reminding, and which client has which; most have the first."""
    given = [("Aux 6 mois", "2_weeks"), ("Yearly", None), ("", None)]
    ids = [
        maker.put("lifecycles", {"name": name, "confWindowCode": code, **maker.stamps()})["id"] for name, code in given
    ]
    for client in maker.account.clients.values():
        client["lifecycleId"] = maker.rng.choice([None, ids[0], ids[0], ids[1]])


def add_price_list(maker: Maker) -> None:
    """Groups of services and their items, with names in both languages, in one of them, in another, and in none."""
    for order, (name, more) in enumerate(
        [
            ({"en_US": "Tuning", "fr_CA": "Accord"}, {}),
            ({"fr_CA": "Réparations"}, {"isMultiChoice": True}),
            ({"en_US": "Humidity control"}, {}),
            ({"de_DE": "Klavierstimmung"}, {"isMultiChoice": True}),
            ({"en_US": "Old prices", "fr_CA": None}, {"isArchived": True}),
            ({}, {}),  # no name in any language, and no items
        ]
    ):
        group = maker.put("master_service_groups", {"name": name, "order": order, **more, **maker.stamps()})
        for place in range(0 if not name else maker.rng.choice([3, 5, 8])):
            _add_service(maker, group, place)


def _add_service(maker: Maker, group: Record, order: int) -> None:
    english, french = maker.rng.choice(texts.SERVICES), maker.rng.choice(texts.SERVICES)
    names: list[Any] = [
        {"en_US": english, "fr_CA": french},
        {"fr_CA": french},
        {"en_US": english},
        {"es_ES": "Afinación"},
    ]
    fixed = maker.chance(0.7)
    maker.put(
        "master_service_items",
        {
            "masterServiceGroupId": group["id"],
            "name": names[order % len(names)],
            "description": maker.rng.choice([{}, {"en_US": "", "fr_CA": maker.rng.choice(texts.REMARKS)}]),
            "educationDescription": {},
            "type": "LABOR_FIXED_RATE" if fixed else maker.rng.choice(["LABOR_HOURLY", "EXPENSE", "MILEAGE", "OTHER"]),
            # Null: the price is agreed on the spot. Below nothing: a discount.
            "amount": maker.rng.choice([None, 0, -2_500, *[maker.rng.randrange(2_000, 40_000) for _ in range(7)]]),
            "duration": maker.rng.choice([0, 30, 60, 90]),
            "order": order,
            "isTuning": order == 0,
            "isTaxable": maker.chance(0.8),
            "isArchived": group["isArchived"] or maker.chance(0.1),
            "isDefault": order == 0,
            "isSelfSchedulable": maker.chance(0.3),
            "isAnyUser": True,
            **maker.stamps(),
        },
    )


def add_recommendations(maker: Maker) -> None:
    """One of each type, and an archived one."""
    for name, explanation, kind, is_archived in [
        ({"en_US": "Recommended", "fr_CA": "Recommandé"}, {"en_US": "Do it.", "fr_CA": "À faire."}, "YES", False),
        ({"fr_CA": "Facultatif"}, {}, "MAYBE", False),
        ({"en_US": "Not worth it"}, {"fr_CA": "Le piano ne le vaut pas."}, "NO", False),
        ({"en_US": "Formerly", "fr_CA": "Autrefois"}, {}, "MAYBE", True),
    ]:
        texts_ = {"name": name, "explanation": explanation, "type": kind, "isArchived": is_archived}
        maker.put("recommendations", texts_)

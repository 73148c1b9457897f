"""The account: what the typical one holds, that it is repeatable, and that every part of it can be read."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from graphql import GraphQLEnumType

from gazelle_sync.sandbox import Account, texts
from gazelle_sync.sandbox.schema import schema

TODAY = date(2026, 3, 2)


@pytest.fixture(scope="module")
def account() -> Account:
    return Account.typical(TODAY)


def instants(records, name):
    return [datetime.fromisoformat(record[name].replace("Z", "+00:00")) for record in records]


def test_the_typical_account_has_the_size_that_is_promised(account):
    assert len(account.clients) == 150
    assert len(account.pianos) == 85
    assert len(account.timeline) == 2500
    assert [user["status"] for user in account.users.values()].count("INACTIVE") == 1


def test_the_same_day_and_seed_give_the_same_account():
    assert Account.typical(TODAY, seed=3) == Account.typical(TODAY, seed=3)
    assert Account.typical(TODAY, seed=3) != Account.typical(TODAY, seed=4)


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2025, 12, 31), date(2026, 11, 1)])
def test_any_day_can_be_today(today):
    assert len(Account.typical(today).clients) == 150


def test_the_institution_has_more_contacts_and_pianos_than_a_page(account):
    school = next(client for client in account.clients.values() if client["companyName"] == texts.INSTITUTION)
    visits = [event for event in account.events.values() if len(event["pianos"]) >= 25]
    assert sum(contact["clientId"] == school["id"] for contact in account.contacts.values()) == 118
    assert sum(piano["clientId"] == school["id"] for piano in account.pianos.values()) == 30
    assert [visit["clientId"] for visit in visits] == [school["id"]]


def test_there_are_evening_appointments_that_are_another_day_in_utc(account):
    starts = [start.astimezone(ZoneInfo("America/Toronto")) for start in instants(account.events.values(), "start")]
    evenings = [start for start in starts if (start.day, start.hour, start.minute) == (14, 22, 30)]
    assert len(evenings) > 10
    assert all(start.astimezone(ZoneInfo("UTC")).day == 15 for start in evenings)


def test_appointments_reach_from_three_years_ago_to_six_months_ahead(account):
    days = sorted(start.date() for start in instants(account.events.values(), "start"))
    assert TODAY - timedelta(days=1130) < days[0] < TODAY - timedelta(days=900)
    assert TODAY + timedelta(days=130) < days[-1] < TODAY + timedelta(days=200)


def test_every_published_kind_of_event_and_entry_occurs(account):
    enums = {name: set(kind.values) for name, kind in schema().type_map.items() if isinstance(kind, GraphQLEnumType)}
    assert {event["type"] for event in account.events.values()} == enums["EventType"]
    assert {event["status"] for event in account.events.values()} == enums["EventStatus"]
    assert {entry["type"] for entry in account.timeline.values()} == enums["TimelineEntryType"]


def test_the_holes_of_a_real_account_are_there(account):
    contacts, timeline = account.contacts.values(), account.timeline.values()
    with_default = {contact["clientId"] for contact in contacts if contact["isDefault"]}
    names = [client["companyName"] for client in account.clients.values()]
    assert len(account.clients.keys() - with_default) > 3
    assert None in names
    assert "   " in names
    assert any(contact["archived"] for contact in contacts)
    assert 5 <= sum(piano["serialNumber"] is None for piano in account.pianos.values()) <= 20
    assert all(event["clientId"] is None for event in account.events.values() if event["type"] == "MEMO")
    assert any(entry["pianoId"] is None for entry in timeline)
    assert all(any(entry.get(link) for entry in timeline) for link in ("appointmentId", "invoiceId", "estimateId"))
    assert min(instants(account.clients.values(), "createdAt")).year == 2017


def test_every_awkward_text_is_in_a_note_and_none_is_invalid(account):
    assert set(texts.AWKWARD) <= {client["personalNotes"] for client in account.clients.values()}
    assert set(texts.AWKWARD) <= {entry["comment"] for entry in account.timeline.values()}
    assert max(len(text.encode()) for text in texts.AWKWARD) > 100_000
    everything = json.dumps([vars(account)[kind] for kind in ("clients", "contacts", "events", "timeline")])
    assert "\\u0000" not in everything.replace("\\\\u0000", "")
    json.loads(everything, parse_constant=pytest.fail)
    assert "\x00" not in "".join(texts.AWKWARD)
    assert "".join(texts.AWKWARD).encode("utf-8")


def test_relations_lead_somewhere(account):
    for records in (account.contacts, account.pianos, account.timeline, account.invoices, account.estimates):
        assert {record["clientId"] for record in records.values()} <= account.clients.keys()
    for event in account.events.values():
        assert event["clientId"] is None or event["clientId"] in account.clients
        assert all(account.pianos[link["pianoId"]]["clientId"] == event["clientId"] for link in event["pianos"])
    for kind in ("scheduled_messages", "event_reservations"):
        assert {each["clientId"] for each in account.records(kind).values()} - {None} <= account.clients.keys()
    assert {each["eventId"] for each in account.event_cancel_notices.values()} <= account.events.keys()
    for entry in account.timeline.values():
        assert entry.get("invoiceId") is None or entry["invoiceId"] in account.invoices
        assert entry.get("estimateId") is None or entry["estimateId"] in account.estimates
        assert entry["pianoId"] is None or account.pianos[entry["pianoId"]]["clientId"] == entry["clientId"]


def test_clients_have_a_language_though_nearly_none_has_one_of_its_own(account):
    own = [client for client in account.clients.values() if client["localizationId"] is not None]
    assert 1 <= len(own) <= 15
    assert {client["defaultClientLocalizationId"] for client in account.clients.values()} == {"loc_fr", "loc_en"}
    assert all(c["localizationId"] == c["defaultClientLocalizationId"] for c in own)


def test_clients_were_sent_by_clients_in_a_chain_and_in_a_circle(account):
    sender = {
        key: client["referralClientId"] for key, client in account.clients.items() if "referralClientId" in client
    }
    assert set(sender.values()) <= account.clients.keys()
    assert any(sender.get(by) == sent for sent, by in sender.items())
    assert any(sender.get(by) not in (None, sent) for sent, by in sender.items())
    order = list(account.clients)
    assert any(order.index(by) > order.index(sent) for sent, by in sender.items())


def test_a_contact_has_eleven_addresses_and_others_odd_telephones_and_places(account):
    contacts = account.contacts.values()
    assert max(len(contact["allEmails"]) for contact in contacts) == 11
    assert any(email["email"] is None for contact in contacts for email in contact["allEmails"])
    phones = [phone for contact in contacts for phone in contact["allPhones"]]
    assert {None, ""} <= {phone["phoneNumber"] for phone in phones}
    assert {phone["type"] for phone in phones} == set(schema().type_map["PhoneType"].values)
    assert set(schema().type_map["PhoneClass"].values) < {phone["confirmedClass"] for phone in phones}
    places = [place for contact in contacts for place in contact["allLocations"]]
    assert {place["usageType"] for place in places} == {"STREET", "MAILING", "BILLING"}
    assert {place["locationType"] for place in places} == {"ADDRESS", "COORDINATES", "WHAT3WORDS"}
    assert any(place["isBadAddress"] for place in places)


def test_invoices_are_as_odd_as_real_ones(account):
    invoices = list(account.invoices.values())
    assert max(len(invoice["allInvoiceItems"]) for invoice in invoices) == 120
    assert any(invoice["status"] == "DELETED" and invoice["allInvoicePayments"] for invoice in invoices)
    assert any(invoice["total"] is None and invoice["number"] is None for invoice in invoices)
    assert any((invoice["total"] or 0) < 0 for invoice in invoices)
    assert any(not invoice["allInvoiceItems"] for invoice in invoices)
    assert 10 < sum(bool(invoice["archived"]) for invoice in invoices) < 60
    assert {invoice["currencyId"] for invoice in invoices} == {"CAD", "USD"}
    assert any(invoice["contactId"] is None for invoice in invoices)
    items = [item for invoice in invoices for item in invoice["allInvoiceItems"]]
    assert any(item["amount"] is None for item in items)
    assert any((item["total"] or 0) < 0 for item in items)
    assert any(item["quantity"] == 0 for item in items)
    assert any(item["masterServiceItemId"] is None for item in items)
    assert {text for text in texts.AWKWARD if len(text) < 1000} <= {item["description"] for item in items}


def test_taxes_are_fractions_of_a_percent_and_of_a_cent(account):
    items = [item for invoice in account.invoices.values() for item in invoice["allInvoiceItems"]]
    taxes = [(item["subTotal"], tax) for item in items for tax in item["taxes"]]
    assert {tax["taxId"] for _, tax in taxes} <= account.taxes.keys()
    assert any(tax["rate"] % 1000 for _, tax in taxes)
    assert any((amount * tax["rate"]) % 100_000 for amount, tax in taxes)
    assert {tax["activeOrHistorical"] for tax in account.taxes.values()} == {"ACTIVE", "HISTORICAL", None}


def test_payments_succeed_fail_and_come_with_tips(account):
    payments = [payment for invoice in account.invoices.values() for payment in invoice["allInvoicePayments"]]
    assert {"SUCCEEDED", "FAILED", "REFUNDED", "REQUIRES_ACTION"} <= {payment["status"] for payment in payments}
    assert any(payment["failureReason"] for payment in payments)
    assert any(payment["tipTotal"] for payment in payments)
    assert any(payment["amount"] < 0 for payment in payments)
    assert any(payment["paidAt"] is None for payment in payments)
    assert any(len(invoice["allInvoicePayments"]) == 2 for invoice in account.invoices.values())


def test_estimates_have_none_to_five_alternatives(account):
    estimates = list(account.estimates.values())
    assert {0, 1, 5} <= {len(estimate["allEstimateTiers"]) for estimate in estimates}
    assert {estimate["isArchived"] for estimate in estimates} == {True, False}
    tiers = [tier for estimate in estimates for tier in estimate["allEstimateTiers"]]
    items = [item for tier in tiers for item in tier["allEstimateTierItems"]]
    assert any(not tier["allEstimateTierItems"] for tier in tiers)
    assert any(item["amount"] < 0 for item in items)
    assert any(item["taxes"] is None for item in items)
    assert any(item["quantity"] % 100 for item in items)
    assert any(item["estimateTierGroupId"] for item in items)
    for tier in tiers:
        assert tier["total"] == sum(item["total"] for item in tier["allEstimateTierItems"])
    for estimate in estimates:
        assert account.pianos[estimate["pianoId"]]["clientId"] == estimate["clientId"]


def test_measurements_have_gaps(account):
    measured = [piano["allPianoMeasurements"] for piano in account.pianos.values() if piano["allPianoMeasurements"]]
    assert max(len(each) for each in measured) == 30
    measurements = [each for some in measured for each in some]
    assert any(each["humidity"] is None and each["a4Pitch"] is None for each in measurements)
    assert any(each["a0Pitch"] is None and each["a4Pitch"] is not None for each in measurements)
    assert any(each["takenOn"] is None for each in measurements)
    assert any((each["temperature"] or 0) < 0 for each in measurements)
    assert len({each["takenOn"] for each in max(measured, key=len)}) < 30


def test_photos_lack_what_photos_may_lack(account):
    photos = [photo for piano in account.pianos.values() for photo in piano["allPianoPhotos"]]
    assert max(len(piano["allPianoPhotos"]) for piano in account.pianos.values()) == 12
    assert any(photo["original"] is None for photo in photos)
    assert any(photo["thumbnail"] is None and photo["original"] for photo in photos)
    assert any(photo["takenAt"] is None for photo in photos)
    assert any(photo["original"] and photo["original"]["size"] is None for photo in photos)


def test_names_are_in_both_languages_in_one_in_another_and_in_none(account):
    for kind, wanted in [
        ("master_service_groups", [{"en_US", "fr_CA"}, {"fr_CA"}, {"en_US"}, {"de_DE"}, set()]),
        ("master_service_items", [{"en_US", "fr_CA"}, {"fr_CA"}, {"en_US"}, {"es_ES"}]),
        ("recommendations", [{"en_US", "fr_CA"}, {"fr_CA"}, {"en_US"}]),
    ]:
        languages = [set(record["name"]) for record in account.records(kind).values()]
        assert all(each in languages for each in wanted), kind
        assert any(record["isArchived"] for record in account.records(kind).values())
    assert None in [each["name"].get("fr_CA", "") for each in account.master_service_groups.values()]
    assert {None, -2_500} < {item["amount"] for item in account.master_service_items.values()}


def test_what_waits_is_of_every_published_state(account):
    enums = schema().type_map
    reservations = account.event_reservations.values()
    assert {each["status"] for each in reservations} == set(enums["EventReservationStatus"].values)
    assert any(each["clientId"] is None and each["clientData"] for each in reservations)
    assert None in [each["pianoServices"] for each in reservations]
    assert any(service["pianoId"] is None for each in reservations for service in each["pianoServices"] or [])
    assert any(each["changes"] for each in reservations)
    notices = account.event_cancel_notices.values()
    assert {each["status"] for each in notices} == set(enums["EventCancelNoticeStatus"].values)
    messages = account.scheduled_messages.values()
    assert {each["type"] for each in messages} == set(enums["ScheduledMessageType"].values)
    assert None in [each["subject"] for each in messages]


def test_a_large_account_has_as_many_of_each_as_asked():
    account = Account.generated(clients=4000, timeline=24_000)
    assert (len(account.clients), len(account.pianos), len(account.timeline)) == (4000, 1000, 24_000)


def test_the_rest_of_a_large_account_is_as_much_as_asked():
    account = Account.generated(clients=400, timeline=10, invoices=600, estimates=150, measurements=1_000)
    assert (len(account.invoices), len(account.estimates)) == (600, 150)
    assert sum(len(piano["allPianoMeasurements"]) for piano in account.pianos.values()) == 1_000
    assert 1_000 < sum(len(invoice["allInvoiceItems"]) for invoice in account.invoices.values()) < 1_800

"""The lists of the rest of the account: invoices, estimates, bookings, prices… with their filters, sorts and parts."""

from __future__ import annotations

import pytest

from gazelle_sync.sandbox.schema import schema


@pytest.fixture
def listed(sandbox, data):
    """The ids of a list that is asked for with these arguments; a connection's must be as many as it counts."""
    sandbox.page_cap = 1000

    def ask(name: str, arguments: str = "", **variables) -> list[str]:
        given = f"({arguments})" if arguments else ""
        is_paged = str(schema().query_type.fields[name].type).endswith("Connection!")
        if not is_paged:
            return [node["id"] for node in data(f"{{ list: {name}{given} {{ id }} }}")["list"]]
        page = data(f"{{ list: {name}{given} {{ totalCount nodes {{ id }} }} }}")["list"]
        assert page["totalCount"] == len(page["nodes"])
        return [node["id"] for node in page["nodes"]]

    return ask


def ids(records, test=lambda record: True):
    return [key for key, record in records.items() if test(record)]


LISTS = {
    "allInvoices": "invoices",
    "allEstimates": "estimates",
    "allMasterServiceGroups": "master_service_groups",
    "allMasterServiceItems": "master_service_items",
    "allScheduledMessages": "scheduled_messages",
    "allEventReservations": "event_reservations",
    "allEventReservationsBatched": "event_reservations",
    "allEventCancelNotices": "event_cancel_notices",
    "allPastAndPresentTaxes": "taxes",
    "allLifecycles": "lifecycles",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_holds_every_record_once_in_order(sandbox, listed, name):
    assert listed(name) == list(sandbox.account.records(LISTS[name]))


@pytest.mark.parametrize("name", [name for name in LISTS if "first" in schema().query_type.fields[name].args])
def test_a_list_can_be_read_in_pages(sandbox, data, name):
    query = f"""query ($after: String) {{ list: {name}(first: 2, after: $after) {{
      totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ id }} }} }}"""
    whole = list(sandbox.account.records(LISTS[name]))
    first = data(query)["list"]
    second = data(query, {"after": first["pageInfo"]["endCursor"]})["list"]
    assert [node["id"] for node in first["nodes"] + second["nodes"]] == whole[:4]
    assert first["totalCount"] == second["totalCount"] == len(whole)


@pytest.mark.parametrize(("name", "field"), [("allInvoices", "archived"), ("allEstimates", "isArchived")])
def test_archived_ones_can_be_asked_for_and_left_out(sandbox, listed, name, field):
    records = sandbox.account.records(LISTS[name])
    archived = ids(records, lambda record: record[field])
    rest = ids(records, lambda record: not record[field])
    assert archived
    assert listed(name, "filters: {archived: true}") == archived
    assert listed(name, "filters: {archived: false}") == rest
    assert listed(name, "filters: {archived: null}") == list(records)
    sandbox.usual_filters = {LISTS[name]: {"archived": False}}
    assert listed(name) == rest
    assert listed(name, "filters: {archived: true}") == archived


def test_recommendations_leave_out_archived_ones_unless_asked(sandbox, listed):
    kept = ids(sandbox.account.recommendations, lambda record: not record["isArchived"])
    assert listed("allRecommendations") == kept
    assert listed("allRecommendations", "includeArchived: true") == list(sandbox.account.recommendations)
    assert len(kept) < len(sandbox.account.recommendations)


def test_taxes_of_today_leave_out_those_of_the_past(sandbox, listed):
    assert listed("allTaxes") == ids(sandbox.account.taxes, lambda tax: tax["activeOrHistorical"] == "ACTIVE")


@pytest.mark.parametrize(
    ("name", "more", "less"),
    [
        ("allInvoices", "invoiceDateGet", "invoiceDateLet"),
        ("allInvoices", "dueDateGet", "dueDateLet"),
        ("allEstimates", "createdGet", "createdLet"),
        ("allEstimates", "expiresGet", "expiresLet"),
        ("allEventReservationsBatched", "createdGet", "createdLet"),
        ("allEventReservationsBatched", "startsGet", "startsLet"),
        ("allEventsBatched", "dateGet", "dateLet"),
        ("allClients", "createdGet", "createdLet"),
        ("allPianos", "createdGet", "createdLet"),
    ],
)
def test_days_cut_a_list_in_two_without_a_gap(listed, name, more, less):
    """Two halves that meet at a midnight hold every record that has a date, none of them twice."""
    day, eve = ("2026-03-02", "2026-03-01") if "Event" in name else ("2023-06-01", "2023-05-31")
    later, earlier = (listed(name, f'filters: {{{bound}: "{at}"}}') for bound, at in ((more, day), (less, eve)))
    every = set(listed(name, f'filters: {{{more}: "1900-01-01"}}'))
    assert not set(later) & set(earlier)
    assert set(later) | set(earlier) == every
    assert later or earlier
    assert listed(name, f'filters: {{{more}: "{day}", {less}: "{eve}"}}') == []


def test_invoices_are_found_by_the_day_of_a_payment_in_the_company_time_zone(sandbox, listed):
    id_, invoice = next((key, each) for key, each in sandbox.account.invoices.items() if each["allInvoicePayments"])
    invoice["allInvoicePayments"] = [{**invoice["allInvoicePayments"][0], "paidAt": "2031-05-02T03:30:00Z"}]
    the_first = 'filters: {paymentDateGet: "2031-05-01", paymentDateLet: "2031-05-01"}'
    assert listed("allInvoices", the_first) == [id_]  # 23:30 on the 1st in Toronto
    assert listed("allInvoices", 'filters: {paymentDateGet: "2031-05-02"}') == []


@pytest.mark.parametrize(
    ("filters", "test"),
    [
        ("status: [PAID, DELETED]", lambda each: each["status"] in ("PAID", "DELETED")),
        ("totalGet: 0, totalLet: 20000", lambda each: 0 <= (-1 if each["total"] is None else each["total"]) <= 20000),
        ("tipIncluded: true", lambda each: each["tipTotal"]),
        ("anyTags: [\"VIP\"]", lambda each: "VIP" in each["tags"]),
        ("municipality: [\"Ottawa\"]", lambda each: each["altBillingMunicipality"] == "Ottawa"),
        ("paymentMethods: {invoicePaymentType: [PAYPAL]}", lambda each: each["currencyId"] == "USD"),
    ],
)  # fmt: skip
def test_invoices_are_filtered(sandbox, listed, filters, test):
    wanted = ids(sandbox.account.invoices, test)
    found = listed("allInvoices", f"filters: {{{filters}}}")
    assert set(wanted) <= set(found)
    if "municipality" not in filters:  # there, the contact's counts where the invoice has none of its own
        assert wanted == found
    assert wanted


def test_invoices_and_estimates_of_a_client_or_a_piano_are_found(sandbox, listed):
    invoice = next(each for each in sandbox.account.invoices.values() if len(each["allInvoiceItems"]) == 120)
    estimate = next(iter(sandbox.account.estimates.values()))
    assert invoice["id"] in listed("allInvoices", f'filters: {{clientId: "{invoice["clientId"]}"}}')
    assert estimate["id"] in listed("allEstimates", f'filters: {{pianoId: "{estimate["pianoId"]}"}}')
    item = next(i for each in sandbox.account.invoices.values() for i in each["allInvoiceItems"] if i["pianoId"])
    found = listed("allInvoices", f'filters: {{pianoId: "{item["pianoId"]}"}}')
    assert found == ids(
        sandbox.account.invoices, lambda each: item["pianoId"] in [i["pianoId"] for i in each["allInvoiceItems"]]
    )
    assert listed("allInvoices", f'filters: {{invoiceIds: ["{invoice["id"]}", "inv_none"]}}') == [invoice["id"]]


@pytest.mark.parametrize(
    ("name", "arguments", "test"),
    [
        ("allEventCancelNotices", "status: [OPEN]", lambda each: each["status"] == "OPEN"),
        ("allEventReservationsBatched", "filters: {status: [PENDING]}", lambda each: each["status"] == "PENDING"),
        ("allLifecycles", 'search: "year"', lambda each: each["name"] == "Yearly"),
        ("allEstimates", "filters: {anyTierTotalGet: 100000}",
         lambda each: any(tier["total"] >= 100_000 for tier in each["allEstimateTiers"])),
    ],
)  # fmt: skip
def test_the_other_lists_are_filtered(sandbox, listed, name, arguments, test):
    wanted = ids(sandbox.account.records(LISTS[name]), test)
    assert listed(name, arguments) == wanted
    assert 0 < len(wanted) < len(sandbox.account.records(LISTS[name]))


def test_messages_about_to_go_to_one_client_are_found(sandbox, listed, data):
    message = next(iter(sandbox.account.scheduled_messages.values()))
    client = message["clientId"]
    assert listed("allScheduledMessages", f'clientId: "{client}"') == [message["id"]]
    query = "query ($id: String!) { client(id: $id) { allScheduledMessages { nodes { id } } } }"
    assert data(query, {"id": client})["client"]["allScheduledMessages"]["nodes"] == [{"id": message["id"]}]


@pytest.mark.parametrize(
    ("name", "sort"),
    [("allInvoices", "INVOICE_DATE"), ("allInvoices", "DUE_DATE"), ("allInvoices", "CLIENT_NAME"),
     ("allEstimates", "NUMBER"), ("allEstimates", "EXPIRES_ON"), ("allEstimates", "PRIMARY_TIER_TOTAL"),
     ("allEventReservationsBatched", "STARTS_AT"), ("allLifecycles", "NAME")],
)  # fmt: skip
def test_a_sort_up_and_a_sort_down_are_two_orders_of_the_same_records(listed, name, sort):
    up, down = listed(name, f"sortBy: [{sort}_ASC]"), listed(name, f"sortBy: [{sort}_DESC]")
    assert sorted(up) == sorted(down) == sorted(listed(name))
    assert up != down


def test_pending_bookings_come_first_or_last(sandbox, data):
    query = "{ a: allEventReservations(sortBy: [PENDING_FIRST]) { status } b: allEventReservations(sortBy: [PENDING_LAST]) { status } }"  # noqa: E501
    first, last = ([each["status"] for each in some] for some in data(query).values())
    pending = first.count("PENDING")
    assert first[:pending] == last[-pending:] == ["PENDING"] * pending


def test_an_invoice_comes_with_its_lines_taxes_and_payments(sandbox, data):
    query = """query ($id: String!) { invoice(id: $id) { id currency { code } contact { id } assignedTo { id }
      allInvoicePayments { nodes { id amount tipTotal currency { code } invoice { id } paidAt } }
      allInvoiceItems(first: 200) { totalCount nodes { id taxes { taxId rate total } masterServiceItem { id }
        piano { id } quantity amount } } } }"""
    sandbox.page_cap = 200
    invoice = next(each for each in sandbox.account.invoices.values() if len(each["allInvoiceItems"]) == 120)
    found = data(query, {"id": invoice["id"]})["invoice"]
    assert found["currency"] == {"code": "CAD"}
    assert found["allInvoiceItems"]["totalCount"] == 120
    for item, wanted in zip(found["allInvoiceItems"]["nodes"], invoice["allInvoiceItems"], strict=True):
        assert [tax["total"] for tax in item["taxes"]] == [tax["total"] for tax in wanted["taxes"]]
        assert (item["masterServiceItem"] or {}).get("id") == wanted["masterServiceItemId"]
    (payment,) = found["allInvoicePayments"]["nodes"]
    assert payment["invoice"] == {"id": invoice["id"]}
    query = "query ($id: String!) { invoicePayment(id: $id) { amount invoice { id } } }"
    assert data(query, {"id": payment["id"]})["invoicePayment"]["invoice"] == {"id": invoice["id"]}


def test_an_estimate_comes_with_its_tiers_headings_and_lines(sandbox, data):
    query = """{ list: allEstimates { nodes { id allEstimateTiers { id estimate { id } recommendation { id }
      allEstimateTierGroups { id allEstimateTierItems { id } }
      allUngroupedEstimateTierItems { id }
      allEstimateTierItems { id estimateTier { id } estimateTierGroup { name } taxes { rate } } } } } }"""
    for node in data(query)["list"]["nodes"]:
        for tier in node["allEstimateTiers"]:
            assert tier["estimate"] == {"id": node["id"]}
            everything = {item["id"] for item in tier["allEstimateTierItems"]}
            grouped = {item["id"] for group in tier["allEstimateTierGroups"] for item in group["allEstimateTierItems"]}
            loose = {item["id"] for item in tier["allUngroupedEstimateTierItems"]}
            assert grouped | loose == everything
            assert all(item["estimateTier"] == {"id": tier["id"]} for item in tier["allEstimateTierItems"])
            assert {i["id"] for i in tier["allEstimateTierItems"] if i["estimateTierGroup"]} == grouped


@pytest.mark.parametrize(
    "query",
    ["estimate(id: $id)", "estimateTier(id: $id)", "estimateTierItem(id: $id)", "eventReservation(id: $id)",
     "invoicePayment(id: $id)", "pianoMeasurement(id: $id)", "scheduledMessage(id: $id)",
     "scheduledMessage(scheduledMessageId: $id)"],
)  # fmt: skip
def test_one_record_is_found_by_its_id_and_null_when_there_is_none(sandbox, data, query):
    account = sandbox.account
    estimate = next(iter(account.estimates.values()))
    tier = estimate["allEstimateTiers"][0]
    id_ = {
        "estimate": estimate["id"],
        "estimateTier": tier["id"],
        "estimateTierItem": tier["allEstimateTierItems"][0]["id"],
        "eventReservation": next(iter(account.event_reservations)),
        "invoicePayment": next(p["id"] for i in account.invoices.values() for p in i["allInvoicePayments"]),
        "pianoMeasurement": next(m["id"] for p in account.pianos.values() for m in p["allPianoMeasurements"]),
        "scheduledMessage": next(iter(account.scheduled_messages)),
    }[query.partition("(")[0]]
    kind = "String" if query.startswith("scheduled") else "String!"
    text = f"query ($id: {kind}) {{ found: {query} {{ id }} }}"
    assert data(text, {"id": id_})["found"] == {"id": id_}
    assert data(text, {"id": "none"})["found"] is None


def test_what_hangs_on_what_is_gone_is_gone_with_it(sandbox, listed):
    account = sandbox.account
    piano = next(iter(account.estimates.values()))["pianoId"]
    group = next(iter(account.master_service_groups))
    event = next(iter(account.event_cancel_notices.values()))["eventId"]
    del account.pianos[piano], account.master_service_groups[group], account.events[event]
    assert listed("allEstimates") == ids(account.estimates, lambda each: each["pianoId"] != piano)
    assert listed("allMasterServiceItems") == ids(
        account.master_service_items, lambda each: each["masterServiceGroupId"] != group
    )
    assert listed("allEventCancelNotices") == ids(account.event_cancel_notices, lambda each: each["eventId"] != event)


def test_the_client_who_sent_a_client_is_given_and_those_whom_one_sent(sandbox, data):
    sent = next(each for each in sandbox.account.clients.values() if each.get("referralClientId"))
    query = """query ($id: String!) { client(id: $id) { referralClient { id allClientsReferred { id } }
      lifecycle { id } localization { locale } defaultClientLocalization { locale } } }"""
    found = data(query, {"id": sent["id"]})["client"]
    assert found["referralClient"]["id"] == sent["referralClientId"]
    assert {"id": sent["id"]} in found["referralClient"]["allClientsReferred"]
    assert found["defaultClientLocalization"]["locale"] in ("fr_CA", "en_CA")


def test_photos_come_with_their_sizes_and_can_be_searched(sandbox, data):
    piano = max(sandbox.account.pianos.values(), key=lambda each: len(each["allPianoPhotos"]))
    query = """query ($id: String!, $words: String) { piano(id: $id) { allPianoPhotos(search: $words) { totalCount
      nodes { id pianoId takenAt original { url mimeType size } thumbnail { url } } } } }"""
    found = data(query, {"id": piano["id"]})["piano"]["allPianoPhotos"]
    assert found["totalCount"] == 12
    assert {node["pianoId"] for node in found["nodes"]} == {piano["id"]}
    assert data(query, {"id": piano["id"], "words": "no such word"})["piano"]["allPianoPhotos"]["totalCount"] == 0


def test_who_asks_and_for_which_company_is_told(sandbox, data):
    query = """{ user { firstName lastName accessLevel hasLimitedAccess }
      company { id name isParked parkedReason upcomingMaintenanceNotice { message startsAt } } }"""
    assert data(query) == {
        "user": {"firstName": "Allan", "lastName": "Sutton", "accessLevel": "ADMIN", "hasLimitedAccess": False},
        "company": {
            "id": "com_sandbox",
            "name": "Accords & Désaccords inc.",
            "isParked": False,
            "parkedReason": "NOT_PARKED",
            "upcomingMaintenanceNotice": None,
        },
    }
    notice = {"message": "Maintenance", "startsAt": "2026-03-03T05:00:00Z"}
    sandbox.account.company.update(isParked=True, parkedReason="UNPAID", upcomingMaintenanceNotice=notice)
    assert data(query)["company"]["upcomingMaintenanceNotice"] == notice

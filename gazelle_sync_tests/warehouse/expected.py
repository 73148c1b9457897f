"""What the tables beyond the first seven must hold, told again from contract and API, and not from the declarations.

A column is named like its field, and what differs is said; times end in `_at`, days in `_on`. No test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from gazelle_sync.sandbox import Account

Record = dict[str, Any]


def field_of(column: str) -> str:
    first, *others = column.split("_")
    return first + "".join(other.title() for other in others)


def told(record: Record, columns: str, **renamed: str) -> Record:
    """The columns of a record: those that are named like their field, and those that are not (`column="field"`)."""
    row = {}
    for column, field in [*((name, field_of(name)) for name in columns.split()), *renamed.items()]:
        value = record.get(field)
        if value is not None and column.endswith("_at"):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        elif value is not None and column.endswith("_on"):
            value = datetime.strptime(value, "%Y-%m-%d").date()
        elif value is not None and column in ("latitude", "longitude"):
            value = Decimal(value)
        row[column] = value
    return row


def numbered(record: Record, columns: str, **renamed: str) -> Record:
    return {"external_id": record["id"], **told(record, columns, **renamed)}


def in_english(texts: Record | None) -> str | None:
    """What somebody reads whose language is en_US: that, or whatever else was written."""
    return next((text for text in ((texts or {}).get("en_US"), *(texts or {}).values()) if text), None)


def translated(record: Record, *names: str) -> Record:
    return {
        column: value
        for name in names
        for column, value in ((name, in_english(record.get(name))), (f"{name}_i18n", record.get(name)))
    }


def phone(digits: str | None) -> str | None:
    """As Gazelle shows a number of ten digits; another one is as it was typed."""
    is_national = digits is not None and digits.isdigit() and len(digits) == 10
    return f"({digits[:3]}) {digits[3:6]}-{digits[6:]}" if is_national else digits


def of_contacts(field: str, columns: str, **renamed: str) -> Callable[[Account], Iterator[Record]]:
    def rows(account: Account) -> Iterator[Record]:
        for contact in account.contacts.values():
            for each in contact[field]:
                row = {"contact_external_id": contact["id"], **numbered(each, columns, **renamed)}
                if "phone" in row:
                    row["phone"] = phone(row["phone"])
                yield row

    return rows


def tiers(account: Account) -> Iterator[tuple[Record, Record]]:
    for estimate in account.estimates.values():
        for tier in estimate["allEstimateTiers"]:
            yield estimate, tier


def invoices(account: Account) -> Iterator[Record]:
    for invoice in account.invoices.values():
        address = "company_name first_name last_name email phone street1 street2 municipality region postal_code"
        yield {
            **numbered(
                invoice,
                "number status due_on net_days sub_total tax_total tip_total total paid_total due_total tags notes "
                "top_notes archived client_url created_at updated_at",
                client_external_id="clientId",
                contact_external_id="contactId",
                assigned_to_external_id="assignedToId",
                created_by_external_id="createdById",
                currency="currencyId",
                last_quickbooks_sync_at="lastQuickbooksSyncAt",
            ),
            **told(invoice, " ".join(f"alt_billing_{name}" for name in [*address.split(), "country_code"])),
        }


def invoice_items(account: Account) -> Iterator[Record]:
    for invoice in account.invoices.values():
        for item in invoice["allInvoiceItems"]:
            yield {
                "invoice_external_id": invoice["id"],
                **numbered(
                    item,
                    "sequence_number type description quantity amount sub_total tax_total total billable taxable taxes "
                    "created_at updated_at",
                    piano_external_id="pianoId",
                    master_service_item_external_id="masterServiceItemId",
                ),
            }


def invoice_payments(account: Account) -> Iterator[Record]:
    for invoice in account.invoices.values():
        for payment in invoice["allInvoicePayments"]:
            yield {
                "invoice_external_id": invoice["id"],
                **numbered(
                    payment,
                    "amount tip_total type status payment_source notes payment_details failure_reason "
                    "is_stripe_payment was_initiated_by_client paid_at created_at",
                    currency="currencyId",
                ),
            }


def estimates(account: Account) -> Iterator[Record]:
    for estimate in account.estimates.values():
        yield numbered(
            estimate,
            "number estimated_on expires_on is_archived notes current_performance_level recommended_tier_total locale "
            "tags client_url created_at updated_at",
            client_external_id="clientId",
            contact_external_id="contactId",
            piano_external_id="pianoId",
            assigned_to_external_id="assignedToId",
            created_by_external_id="createdById",
        )


def estimate_tiers(account: Account) -> Iterator[Record]:
    for estimate, tier in tiers(account):
        yield {
            "estimate_external_id": estimate["id"],
            **numbered(
                tier,
                "sequence_number is_primary notes target_performance_level allow_self_schedule subtotal tax_total "
                "total created_at updated_at",
                recommendation_external_id="recommendationId",
            ),
        }


def estimate_tier_items(account: Account) -> Iterator[Record]:
    for _, tier in tiers(account):
        headings = {group["id"]: group["name"] for group in tier["allEstimateTierGroups"]}
        for item in tier["allEstimateTierItems"]:
            yield {
                "estimate_tier_external_id": tier["id"],
                "group_name": headings.get(item["estimateTierGroupId"]),
                **numbered(
                    item,
                    "name description type sequence_number quantity amount duration is_tuning is_taxable subtotal "
                    "tax_total total taxes created_at updated_at",
                    master_service_item_external_id="masterServiceItemId",
                ),
            }


def piano_measurements(account: Account) -> Iterator[Record]:
    octaves = " ".join(f"a{n}_pitch a{n}_dip" for n in range(8))
    sustains = " ".join(f"{key}_sustain_played {key}_sustain_plucked" for key in ("d6", "g6", "c7"))
    for piano in account.pianos.values():
        for measurement in piano.get("allPianoMeasurements") or []:
            yield {
                "piano_external_id": piano["id"],
                **numbered(measurement, f"taken_on humidity temperature {octaves} {sustains} created_at updated_at"),
            }


def piano_photos(account: Account) -> Iterator[Record]:
    for piano in account.pianos.values():
        for photo in piano.get("allPianoPhotos") or []:
            yield {
                "piano_external_id": piano["id"],
                **numbered(photo, "notes taken_at created_at"),
                **told(photo["original"] or {}, "url mime_type size"),
                "thumbnail_url": (photo["thumbnail"] or {}).get("url"),
            }


def settings(kind: str, columns: str, *texts: str, **renamed: str) -> Callable[[Account], Iterator[Record]]:
    """A kind of record that is in a list of its own."""

    def rows(account: Account) -> Iterator[Record]:
        for record in account.records(kind).values():
            yield {**numbered(record, columns, **renamed), **translated(record, *texts)}

    return rows


def event_reservations(account: Account) -> Iterator[Record]:
    bookings = settings(
        "event_reservations",
        "status status_changed_at type source duration timezone notes changes created_at updated_at",
        client_external_id="clientId",
        technician_external_id="userId",
        appointment_external_id="eventId",
        status_changed_by_external_id="statusChangedById",
        starts_at="startsAt",
        address="addressLine",
        piano_services="pianoServices",
    )
    # What is asked for and not there is null in the answer.
    nothing = dict.fromkeys(("pianoId", "make", "model", "location", "type", "isTuning", "services"))
    for row in bookings(account):
        services = row["piano_services"]
        yield {**row, "piano_services": services and [{**nothing, **each} for each in services]}


def company(account: Account) -> Iterable[Record]:
    row = numbered(
        account.company,
        "name email street1 street2 region postal_code country_code website is_parked parked_reason created_at",
        city="municipality",
    )
    return [{**row, "phone": phone(account.company["phoneNumber"])}]


THE_REST: dict[str, Callable[[Account], Iterable[Record]]] = {
    "invoices": invoices,
    "invoice_items": invoice_items,
    "invoice_payments": invoice_payments,
    "estimates": estimates,
    "estimate_tiers": estimate_tiers,
    "estimate_tier_items": estimate_tier_items,
    "piano_measurements": piano_measurements,
    "piano_photos": piano_photos,
    "contact_emails": of_contacts("allEmails", "email is_default"),
    "contact_phones": of_contacts(
        "allPhones", "extension type confirmed_class is_default created_at updated_at", phone="phoneNumber"
    ),
    "contact_locations": of_contacts(
        "allLocations",
        "usage_type location_type street1 street2 region postal_code country_code latitude longitude what3words "
        "is_bad_address created_at updated_at",
        city="municipality",
    ),
    "master_service_groups": settings(
        "master_service_groups", "order is_archived is_multi_choice created_at updated_at", "name"
    ),
    "master_service_items": settings(
        "master_service_items",
        "type amount duration order is_tuning is_taxable is_archived is_default is_self_schedulable is_any_user "
        "created_at updated_at",
        "name",
        "description",
        master_service_group_external_id="masterServiceGroupId",
    ),
    "recommendations": settings("recommendations", "type is_archived", "name", "explanation"),
    "scheduled_messages": settings(
        "scheduled_messages",
        "type subject template language send_at created_at updated_at",
        client_external_id="clientId",
    ),
    "event_reservations": event_reservations,
    "event_cancel_notices": settings(
        "event_cancel_notices", "status created_at updated_at", appointment_external_id="eventId"
    ),
    "taxes": settings("taxes", "name rate default active_or_historical"),
    "lifecycles": settings("lifecycles", "name conf_window_code created_at updated_at"),
    "company": company,
}

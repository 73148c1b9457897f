"""The account's money: invoices with their lines and payments, estimates with their tiers and lines."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from gazelle_sync.sandbox import texts
from gazelle_sync.sandbox.account.kinds import Record
from gazelle_sync.sandbox.account.maker import Maker


def add_money(maker: Maker, *, invoices: int, estimates: int) -> None:
    """Invoices with their lines, in cents and hundredths, and estimates (a piano each)."""
    clients = list(maker.account.clients)
    for number in range(1, invoices + 1):
        _add_invoice(maker, number, maker.rng.choice(clients))
    owners = list(maker.pianos_of) or clients
    for number in range(1, estimates + 1):
        client_id = maker.rng.choice(owners)
        pianos = maker.pianos_of.get(client_id)
        if not pianos:
            continue  # Gazelle has no estimate without a piano
        on = date.fromisoformat(maker.day(1500))
        maker.put(
            "estimates",
            {
                "number": number,
                "clientId": client_id,
                "pianoId": maker.rng.choice(pianos),
                "createdById": maker.rng.choice(maker.technicians),
                "estimatedOn": str(on),
                "expiresOn": str(on + timedelta(days=30)),
                **maker.stamps(),
            },
        )


def _add_invoice(maker: Maker, number: int, client_id: str) -> Record:
    pianos = [None, *maker.pianos_of.get(client_id, [])]
    items = []
    for position in range(maker.rng.choice([1, 1, 2, 4])):
        amount, quantity = maker.rng.randrange(2_000, 30_000), maker.rng.choice([100, 100, 150, 200])
        sub_total = amount * quantity // 100
        tax = round(sub_total * 0.14975)
        items.append(
            {
                "id": maker.id("ini_"),
                "description": maker.rng.choice(texts.SERVICES),
                "type": maker.rng.choice(["LABOR_FIXED_RATE", "LABOR_HOURLY", "EXPENSE", "MILEAGE"]),
                "amount": amount,
                "quantity": quantity,
                "subTotal": sub_total,
                "taxTotal": tax,
                "total": sub_total + tax,
                "taxable": True,
                "billable": True,
                "taxes": [],
                "sequenceNumber": position,
                "pianoId": maker.rng.choice(pianos),
                **maker.stamps(),
            }
        )
    total = sum(item["total"] for item in items)
    status = maker.rng.choice(["PAID"] * 8 + ["OPEN", "OVERDUE", "DRAFT", "CANCELED"])
    paid = total if status == "PAID" else 0
    technician = maker.rng.choice(maker.technicians)
    return maker.put(
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
            "dueOn": maker.day(1500),
            "netDays": 30,
            "notes": maker.rng.choice([None, *texts.REMARKS]),
            "allInvoiceItems": items,
            **maker.stamps(),
        },
    )


# -- payments -------------------------------------------------------------------------------------------------------


def add_payments(maker: Maker) -> None:
    """What was paid of each invoice, what it was taxed with, and the rest of what an invoice says."""
    default_contacts = {each["clientId"]: each["id"] for each in maker.account.contacts.values() if each["isDefault"]}
    services = list(maker.account.master_service_items)
    for invoice in maker.account.invoices.values():
        elsewhere = maker.chance(0.06)
        invoice.update(
            contactId=default_contacts.get(invoice["clientId"]),
            archived=maker.chance(0.08),
            tags=maker.rng.sample(texts.TAGS, maker.rng.choice([0, 0, 0, 1])),
            topNotes=maker.rng.choice([None, None, "Merci de votre confiance !"]),
            clientUrl=f"https://example.org/invoice/{invoice['id']}",
            lastQuickbooksSyncAt=maker.iso(maker.now) if maker.chance(0.1) else None,
            altBillingCompanyName=maker.rng.choice(texts.COMPANIES) if elsewhere else None,
            altBillingMunicipality="Ottawa" if elsewhere else None,
            altBillingRegion="ON" if elsewhere else None,
            altBillingEmail="comptes@payeur.example" if elsewhere else None,
        )
        for item in invoice["allInvoiceItems"]:
            item["masterServiceItemId"] = maker.rng.choice([None, *services])
            item["taxes"] = _taxes(maker, "itx_", item["subTotal"]) if item["taxable"] else []
        if invoice["status"] == "PAID":
            _pay(maker, invoice)


def _taxes(maker: Maker, prefix: str, amount: int) -> list[Record]:
    # 9.975 % of a price in cents is a fraction of a cent, as a rule: each is rounded by itself.
    return [
        {
            "id": maker.id(prefix),
            "taxId": tax["id"],
            "name": tax["name"],
            "rate": tax["rate"],
            "total": round(amount * tax["rate"] / 100_000),
        }
        for tax in maker.account.taxes.values()
        if tax["default"]
    ]


def _pay(maker: Maker, invoice: Record) -> None:
    tip = maker.rng.choice([0, 0, 0, 500, 1_000])
    parts = [invoice["paidTotal"]] if maker.chance(0.85) else [invoice["paidTotal"] // 3, invoice["paidTotal"]]
    if len(parts) > 1:
        parts[1] -= parts[0]
    invoice["tipTotal"] = tip
    invoice["allInvoicePayments"] = [
        _payment(maker, amount + (tip if number == 0 else 0), tip if number == 0 else 0)
        for number, amount in enumerate(parts)
    ]


def _payment(maker: Maker, amount: int, tip: int = 0, **more: Any) -> Record:
    by_card = maker.chance(0.3)
    paid = maker.moment(maker.opened, maker.now)
    return {
        "id": maker.id("pay_"),
        "amount": amount,
        "tipTotal": tip,
        "currencyId": "CAD",
        "type": "CREDIT_CARD" if by_card else maker.rng.choice(["CASH", "CHECK", "ELECTRONIC_FUNDS_TRANSFER", "OTHER"]),
        "status": "SUCCEEDED",
        "paymentSource": "STRIPE" if by_card else "MANUAL",
        "notes": maker.rng.choice([None, None, "Virement reçu", ""]),
        "paymentDetails": "Visa •••• 4242" if by_card else None,
        "failureReason": None,
        "isStripePayment": by_card,
        "isSyncedToQuickbooksOnline": False,
        "wasInitiatedByClient": by_card and maker.chance(0.5),
        "paidAt": maker.iso(paid),
        "createdAt": maker.iso(paid),
        **more,
    }


# -- estimates ------------------------------------------------------------------------------------------------------


def add_tiers(maker: Maker) -> None:
    """One to three alternatives of each estimate, with headings and lines, and the rest of what an estimate says."""
    default_contacts = {each["clientId"]: each["id"] for each in maker.account.contacts.values() if each["isDefault"]}
    for estimate in maker.account.estimates.values():
        tiers = [_tier(maker, number) for number in range(maker.rng.choice([1, 1, 2, 3]))]
        estimate.update(
            contactId=default_contacts.get(estimate["clientId"]),
            assignedToId=maker.rng.choice([None, *maker.technicians]),
            isArchived=maker.chance(0.15),
            notes=maker.rng.choice([None, *texts.REMARKS]),
            currentPerformanceLevel=maker.rng.choice([None, 40, 65]),
            recommendedTierTotal=tiers[0]["total"],
            tags=maker.rng.sample(texts.TAGS, maker.rng.choice([0, 0, 1])),
            clientUrl=f"https://example.org/estimate/{estimate['id']}",
            allEstimateTiers=tiers,
        )


def _tier(maker: Maker, number: int) -> Record:
    groups = [
        {"id": maker.id("etg_"), "name": name, "sequenceNumber": place, **maker.stamps()}
        for place, name in enumerate(maker.rng.sample(["Mécanique", "Strings", "Meuble"], maker.rng.choice([0, 1, 2])))
    ]
    items = [
        _tier_item(maker, place, maker.rng.choice([None, *groups])) for place in range(maker.rng.choice([1, 2, 4]))
    ]
    return {
        "id": maker.id("etr_"),
        "sequenceNumber": number,
        "isPrimary": number == 0,
        "notes": maker.rng.choice([None, "", *texts.REMARKS]),
        "targetPerformanceLevel": maker.rng.choice([None, 70, 90]),
        "allowSelfSchedule": maker.chance(0.5),
        "recommendationId": maker.rng.choice([None, *maker.account.recommendations]),
        "allEstimateTierGroups": groups,
        "allEstimateTierItems": items,
        **_totals(items),
        **maker.stamps(),
    }


def _totals(items: list[Record]) -> Record:
    return {name: sum(item[name] for item in items) for name in ("subtotal", "taxTotal", "total")}


def _tier_item(maker: Maker, place: int, group: Record | None, **more: Any) -> Record:
    amount, quantity = maker.rng.randrange(2_000, 90_000), maker.rng.choice([100, 100, 250, 33])
    taxable = maker.chance(0.8)
    item = {
        "id": maker.id("eti_"),
        "name": maker.rng.choice(texts.SERVICES),
        "description": maker.rng.choice([None, "", *texts.REMARKS]),
        "type": maker.rng.choice(["LABOR_FIXED_RATE", "LABOR_HOURLY", "EXPENSE"]),
        "sequenceNumber": place,
        "quantity": quantity,
        "amount": amount,
        "duration": maker.rng.choice([0, 60, 240]),
        "isTuning": maker.chance(0.2),
        "isTaxable": taxable,
        "masterServiceItemId": maker.rng.choice([None, *maker.account.master_service_items]),
        "estimateTierGroupId": group and group["id"],
        **maker.stamps(),
        **more,
    }
    subtotal = item["amount"] * item["quantity"] // 100
    taxes = _taxes(maker, "ett_", subtotal) if taxable else None
    tax_total = sum(tax["total"] for tax in taxes or [])
    return {"subtotal": subtotal, "taxTotal": tax_total, "total": subtotal + tax_total, "taxes": taxes, **item}


# -- what is odd ----------------------------------------------------------------------------------------------------


def add_odd_money(maker: Maker) -> None:
    """An invoice of 120 lines, a deleted one with payments, amounts that are null or negative, five alternatives…"""
    invoices = [each for each in maker.account.invoices.values() if each["status"] == "PAID"]
    long, deleted, credit, unknown, bare, american, refunded, legacy = invoices[:8]
    line = long["allInvoiceItems"][0]
    long["allInvoiceItems"] = [
        {**line, "id": maker.id("ini_"), "sequenceNumber": number, "taxes": _taxes(maker, "itx_", line["subTotal"])}
        for number in range(120)
    ]
    for item, typed in zip(long["allInvoiceItems"], texts.AWKWARD, strict=False):
        item["description"] = typed
    _add_up(long)
    long["allInvoicePayments"] = [_payment(maker, long["total"])]
    deleted.update(status="DELETED", archived=True)
    assert deleted["allInvoicePayments"]
    for item in credit["allInvoiceItems"]:
        for name in ("amount", "subTotal", "taxTotal", "total"):
            item[name] = -abs(item[name])
        item["taxes"] = [{**tax, "total": -abs(tax["total"])} for tax in item["taxes"]]
    _add_up(credit)
    credit["allInvoicePayments"] = [_payment(maker, credit["total"], status="REFUNDED", notes="Remboursé")]
    for item in unknown["allInvoiceItems"]:
        item.update(dict.fromkeys(("amount", "quantity", "subTotal", "taxTotal", "total", "sequenceNumber"), None))
        item.update(type=None, description=None, billable=None, taxable=None, taxes=[])
    totals = ("subTotal", "taxTotal", "tipTotal", "total", "paidTotal", "dueTotal", "dueOn", "netDays")
    unknown.update(dict.fromkeys((*totals, "number", "archived", "assignedToId", "createdById", "contactId")))
    unknown.update(status="DRAFT", allInvoicePayments=[])
    bare.update(allInvoiceItems=[], allInvoicePayments=[])
    _add_up(bare)
    american.update(currencyId="USD")
    american["allInvoicePayments"] = [_payment(maker, american["total"], currencyId="USD", type="PAYPAL")]
    refused: Record = {
        "status": "FAILED",
        "failureReason": "Your card was declined.",
        "isStripePayment": True,
        "paidAt": None,
    }
    refunded["allInvoicePayments"] += [
        _payment(maker, 100, **refused),
        _payment(maker, 0, status="REQUIRES_ACTION", paidAt=None, wasInitiatedByClient=None),
    ]
    legacy["allInvoiceItems"][0].update(type="LEGACY_GROUP", quantity=0, description="")
    estimates = list(maker.account.estimates.values())
    many, none, discounted = estimates[:3]
    many["allEstimateTiers"] = [_tier(maker, number) for number in range(5)]
    many["allEstimateTiers"][4].update(allEstimateTierItems=[], subtotal=0, taxTotal=0, total=0)
    many.update(isArchived=True, recommendedTierTotal=many["allEstimateTiers"][0]["total"])
    none.update(allEstimateTiers=[], recommendedTierTotal=None, contactId=None)
    tier = discounted["allEstimateTiers"][0]
    tier["allEstimateTierItems"].append(_tier_item(maker, 9, None, amount=-5_000, quantity=100, name="Rabais"))
    tier.update(_totals(tier["allEstimateTierItems"]))
    discounted.update(expiresOn=str(maker.today + timedelta(days=30)), recommendedTierTotal=tier["total"])


def _add_up(invoice: Record) -> None:
    for name in ("subTotal", "taxTotal", "total"):
        invoice[name] = sum(item[name] for item in invoice["allInvoiceItems"])
    invoice.update(paidTotal=invoice["total"], dueTotal=0, tipTotal=0)

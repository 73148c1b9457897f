"""The awkward texts of `texts.py`, each in every field that people type into."""

from __future__ import annotations

from gazelle_sync.sandbox import texts
from gazelle_sync.sandbox.account.maker import Maker

_TYPED_IN = {
    "clients": ["personalNotes", "preferenceNotes", "companyName", "custom1", "custom2", "custom10", "referredBy"],
    "contacts": ["role", "lastName"],
    "pianos": ["notes", "location", "model"],
    "events": ["notes", "title", "addressLine"],
    "timeline": ["comment", "summary"],
    "invoices": ["notes", "topNotes"],
    "estimates": ["notes"],
    "scheduled_messages": ["template"],
}


def add_awkwardness(maker: Maker) -> None:
    """Every awkward text once in every field that people type into, a different record for each."""
    for kind, fields in _TYPED_IN.items():
        records = list(maker.account.records(kind).values())
        for offset, name in enumerate(fields):  # shifted, so that a record is not odd in all its fields
            for number, text in enumerate(texts.AWKWARD):
                # Nobody names a company in 100 kB; that text is for the fields that are notes.
                if len(text) < 1000 or name in ("personalNotes", "notes", "comment"):
                    records[(number + offset * 7) % len(records)][name] = text
    for kind in ("clients", "pianos"):
        for record, tags in zip(maker.account.records(kind).values(), texts.AWKWARD_TAGS, strict=False):
            record["tags"] = list(tags)

"""clients: the people and institutions whose pianos are looked after."""

from gazelle_sync.tables.columns import Column, Type, date, never_blank, reference, tags, text, timestamp
from gazelle_sync.tables.declaration import BY_DAY_CREATED, ById, Connection, Table

CLIENTS_READ = Connection("allClients", "sortBy: [CREATED_AT_ASC]", parts=BY_DAY_CREATED)


def shown_name(
    company: str | None, first: str | None, last: str | None, email: str | None, key: str | None
) -> str | None:
    """What to call a client: most are people, and have no company name."""
    person = " ".join(part.strip() for part in (first, last) if part and part.strip())
    return next((name for name in (company, person, email) if name and name.strip()), key)


CLIENTS = Table(
    name="clients",
    comment="People and institutions whose pianos are looked after, with their default contact's details.",
    read=CLIENTS_READ,
    deletion_proved_by=ById("client", "id"),
    checks=(never_blank("have_a_name", "company_name", "Every client has a name to be called by."),),
    searched=("company_name", "personal_notes", "preference_notes"),
    hourly=True,
    example="SELECT city, count(*) FROM gazelle.clients WHERE status = 'ACTIVE' AND deleted_at IS NULL GROUP BY city",
    columns=(
        Column(
            "company_name",
            Type.TEXT,
            (
                "companyName",
                "defaultContact.firstName",
                "defaultContact.lastName",
                "defaultContact.defaultEmail.email",
                "id",
            ),
            "companyName, else the default contact's name, else their e-mail, else Gazelle's id.",
            nullable=False,
            personal=True,
            derive=shown_name,
        ),
        text("first_name", "defaultContact.firstName", "Default contact: first name.", personal=True),
        text("last_name", "defaultContact.lastName", "Default contact: last name.", personal=True),
        text("email", "defaultContact.defaultEmail.email", "Default contact: e-mail.", personal=True),
        text("phone", "defaultContact.defaultPhone.phoneNumber", "Default contact: telephone.", personal=True),
        text("street1", "defaultContact.defaultLocation.street1", "Default contact: street.", personal=True),
        text(
            "street2",
            "defaultContact.defaultLocation.street2",
            "Default contact: street, line 2.",
            personal=True,
        ),
        text("city", "defaultContact.defaultLocation.municipality", "Default contact: municipality."),
        text("region", "defaultContact.defaultLocation.region", "Default contact: province or state."),
        text(
            "postal_code",
            "defaultContact.defaultLocation.postalCode",
            "Default contact: postal code.",
            personal=True,
        ),
        text("country_code", "defaultContact.defaultLocation.countryCode", "Default contact: country."),
        text("status", "status", "ACTIVE, INACTIVE, PROSPECT, NEW."),
        tags("tags", "Tags put on the client in Gazelle."),
        text("client_type", "clientType", "Kind of client, as the company names it."),
        text(
            "locale",
            "defaultClientLocalization.locale",
            "Language and region: the client's, else the preferred technician's, else the company's.",
        ),
        text("lifecycle_state", "lifecycleState", "Where the client stands in the reminder cycle."),
        reference("preferred_technician", "preferredTechnicianId", "Who the client wants to come.", to="users"),
        text("personal_notes", "personalNotes", "Notes about the person.", personal=True),
        text("preference_notes", "preferenceNotes", "Notes about what the client prefers.", personal=True),
        text("referred_by", "referredBy", "Who sent the client.", personal=True),
        date("no_contact_until", "noContactUntil", "No reminders before this day."),
        text("no_contact_reason", "noContactReason", "Why there are no reminders.", personal=True),
        text("reason_inactive_code", "reasonInactiveCode", "Why it is inactive: code."),
        text(
            "reason_inactive_details",
            "reasonInactiveDetails",
            "Why it is inactive: details.",
            personal=True,
        ),
        text("reference_id", "referenceId", "The client's number in another system."),
        *(text(f"custom{n}", f"custom{n}", f"The company's own field {n}.", personal=True) for n in range(1, 11)),
        timestamp("created_at", "createdAt", "When the client was created in Gazelle."),
        timestamp("updated_at", "updatedAt", "When the client was last changed in Gazelle."),
    ),
)

"""estimate_tier_items: the lines of every alternative of an estimate."""

from gazelle_sync.tables.columns import boolean, cents, integer, json, reference, stamps, text
from gazelle_sync.tables.declaration import ById, Group, Nested, Table
from gazelle_sync.tables.estimate_tiers import TIERS_READ

ESTIMATE_TIER_ITEMS = Table(
    name="estimate_tier_items",
    comment="Lines of the alternatives of estimates. Amounts are in cents, quantities in hundredths.",
    read=Nested(TIERS_READ, "allEstimateTierItems", "estimateTier", paged=False),
    deletion_proved_by=ById("estimateTierItem", "id"),
    optional=True,
    group=Group.MONEY,
    example="SELECT name, count(*), avg(amount) / 100.0 AS price FROM gazelle.estimate_tier_items\n"
    "WHERE deleted_at IS NULL GROUP BY name ORDER BY 2 DESC",
    columns=(
        reference("estimate_tier", "estimateTier.id", "The alternative it is of.", to="estimate_tiers", required=True),
        reference("master_service_item", "masterServiceItem.id", "The service it is.", to="master_service_items"),
        text("group_name", "estimateTierGroup.name", "The heading it stands under, if any."),
        text("name", "name", "What is offered."),
        text("description", "description", "What it says.", personal=True),
        text("type", "type", "LABOR_FIXED_RATE, LABOR_HOURLY, EXPENSE, MILEAGE, OTHER."),
        integer("sequence_number", "sequenceNumber", "Its place in the alternative."),
        integer("quantity", "quantity", "Quantity, in hundredths."),
        *cents(amount="Price of one"),
        integer("duration", "duration", "How long it takes, in minutes."),
        boolean("is_tuning", "isTuning", "Whether it is a tuning."),
        boolean("is_taxable", "isTaxable", "Whether taxes are added."),
        *cents(subtotal="Before taxes", tax_total="Taxes", total="With taxes"),
        json("taxes", "taxes", "The taxes on it: name, rate, total in cents.", fields="id taxId name rate total"),
        *stamps(),
    ),
)

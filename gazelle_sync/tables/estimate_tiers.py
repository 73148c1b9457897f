"""estimate_tiers: the alternatives that an estimate offers."""

from gazelle_sync.tables.columns import boolean, cents, integer, reference, stamps, text
from gazelle_sync.tables.declaration import ById, Group, Nested, Table
from gazelle_sync.tables.estimates import ESTIMATES_READ

TIERS_READ = Nested(ESTIMATES_READ, "allEstimateTiers", "estimate", paged=False)

ESTIMATE_TIERS = Table(
    name="estimate_tiers",
    comment="Alternatives of estimates. Amounts are in cents.",
    read=TIERS_READ,
    deletion_proved_by=ById("estimateTier", "id"),
    optional=True,
    group=Group.MONEY,
    example="SELECT number, sequence_number, is_primary, total / 100.0 AS total FROM gazelle.estimate_tiers AS t\n"
    "JOIN gazelle.estimates AS e ON e.external_id = estimate_external_id WHERE t.deleted_at IS NULL ORDER BY 1, 2",
    columns=(
        reference("estimate", "estimate.id", "The estimate that offers it.", to="estimates", required=True),
        reference("recommendation", "recommendation.id", "What is recommended.", to="recommendations"),
        integer("sequence_number", "sequenceNumber", "Its place in the estimate."),
        boolean(
            "is_primary", "isPrimary", "Whether it is the estimate's main one; what is recommended may be another."
        ),
        text("notes", "notes", "Notes.", personal=True),
        integer("target_performance_level", "targetPerformanceLevel", "How well the piano would play, as graded."),
        boolean("allow_self_schedule", "allowSelfSchedule", "Whether the client may book it alone."),
        *cents(subtotal="Before taxes", tax_total="Taxes", total="With taxes"),
        *stamps(),
    ),
)

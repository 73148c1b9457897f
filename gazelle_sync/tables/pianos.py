"""pianos: the instruments, with their service intervals and humidity systems."""

from gazelle_sync.tables.columns import boolean, date, integer, reference, tags, text, timestamp
from gazelle_sync.tables.declaration import BY_DAY_CREATED, ById, Connection, Group, Table

PIANOS_READ = Connection("allPianos", "sortBy: [CREATED_AT_ASC]", parts=BY_DAY_CREATED)

PIANOS = Table(
    name="pianos",
    comment="Instruments, with where they stand, what they are, and when they are due.",
    read=PIANOS_READ,
    deletion_proved_by=ById("piano", "id"),
    after=("clients",),
    hourly=True,
    group=Group.PIANOS,
    example="SELECT make, model, count(*) FROM gazelle.pianos WHERE deleted_at IS NULL GROUP BY 1, 2 ORDER BY 3 DESC",
    columns=(
        reference("client", "client.id", "Who the piano belongs to.", to="clients", required=True),
        text("make", "make", "Maker."),
        text("model", "model", "Model."),
        text("serial_number", "serialNumber", "Serial number; many pianos have none."),
        text("type", "type", "GRAND, UPRIGHT, STUDIO and so on."),
        integer("year", "year", "Year it was built."),
        text("size", "size", "Size, as typed."),
        text("location", "location", "Where it stands at the client's.", personal=True),
        text("notes", "notes", "Notes about the piano.", personal=True),
        text("status", "status", "ACTIVE, INACTIVE, TEMPORARY_STORAGE, UNDER_RESTORATION."),
        tags("tags", "Tags put on the piano in Gazelle."),
        text("case_color", "caseColor", "Colour of the case."),
        text("case_finish", "caseFinish", "Finish of the case."),
        boolean("has_ivory", "hasIvory", "Whether the keys are ivory."),
        boolean("rental", "rental", "Whether it is rented out."),
        date("rental_contract_ends_on", "rentalContractEndsOn", "Last day of the rental contract."),
        boolean("consignment", "consignment", "Whether it is held on consignment."),
        boolean("needs_repair_or_rebuilding", "needsRepairOrRebuilding", "Whether it needs repair or rebuilding."),
        boolean("total_loss", "totalLoss", "Whether it is beyond repair."),
        text("use_type", "useType", "What it is used for."),
        integer("service_interval_months", "serviceIntervalMonths", "Months between two services."),
        date(
            "calculated_last_service",
            "calculatedLastService",
            "Last service, as Gazelle works it out: by appointments, by invoices if so set, or by hand.",
        ),
        date("calculated_next_service", "calculatedNextService", "Next service due, as Gazelle works it out."),
        date("event_last_service", "eventLastService", "Last service by its appointments."),
        date("manual_last_service", "manualLastService", "Last service as typed in by hand."),
        date("next_service_override", "nextServiceOverride", "Next service due, as set by hand."),
        boolean("player_installed", "playerInstalled", "Whether it has a player system."),
        text("player_make", "playerMake", "Player system: maker."),
        text("player_model", "playerModel", "Player system: model."),
        text("player_serial_number", "playerSerialNumber", "Player system: serial number."),
        boolean(
            "dampp_chaser_installed",
            "damppChaserInstalled",
            "Whether it has a humidity system (Dampp-Chaser, Piano Life Saver).",
        ),
        text(
            "dampp_chaser_humidistat_model",
            "damppChaserHumidistatModel",
            "Humidity system: humidistat model.",
        ),
        date("dampp_chaser_mfg_date", "damppChaserMfgDate", "Humidity system: when it was made."),
        integer("potential_performance_level", "potentialPerformanceLevel", "How well it could play, as graded."),
        text("lifecycle_state", "lifecycleState", "Where the piano stands in the reminder cycle."),
        text("reference_id", "referenceId", "The piano's number in another system."),
        timestamp("created_at", "createdAt", "When the piano was created in Gazelle."),
        timestamp("updated_at", "updatedAt", "When the piano was last changed in Gazelle."),
    ),
)

"""piano_measurements: pitch, humidity and temperature, as measured at a piano."""

from gazelle_sync.tables.columns import date, integer, reference, stamps
from gazelle_sync.tables.declaration import ById, Group, Nested, Table
from gazelle_sync.tables.pianos import PIANOS_READ

PIANO_MEASUREMENTS = Table(
    name="piano_measurements",
    comment="Measurements of pianos: humidity, temperature, pitch, dip, sustain. Gazelle publishes no units.",
    read=Nested(PIANOS_READ, "allPianoMeasurements", "", paged=False),
    deletion_proved_by=ById("pianoMeasurement", "id"),
    optional=True,
    group=Group.PIANOS,
    example="SELECT make, taken_on, humidity, temperature, a4_pitch FROM gazelle.piano_measurements AS m\n"
    "JOIN gazelle.pianos AS p ON p.external_id = piano_external_id WHERE m.deleted_at IS NULL ORDER BY taken_on DESC",
    columns=(
        reference("piano", "pianoId", "The piano that was measured.", to="pianos", required=True),
        date("taken_on", "takenOn", "The day of the measurement."),
        integer("humidity", "humidity", "Humidity, as it was entered."),
        integer("temperature", "temperature", "Temperature, as it was entered."),
        *(integer(f"a{n}_pitch", f"a{n}Pitch", f"Pitch of A{n}.") for n in range(8)),
        *(integer(f"a{n}_dip", f"a{n}Dip", f"Dip of A{n}.") for n in range(8)),
        *(
            integer(f"{key}_sustain_{how}", f"{key}Sustain{how.title()}", f"Sustain of {key.upper()} when {how}.")
            for key in ("d6", "g6", "c7")
            for how in ("played", "plucked")
        ),
        *stamps(),
    ),
)

"""piano_measurements: pitch, humidity and temperature, as measured at a piano."""

from gazelle_sync.tables.declaration import ById, Group, Nested, Table, date, integer, reference, timestamp
from gazelle_sync.tables.pianos import PIANOS_READ

PIANO_MEASUREMENTS = Table(
    name="piano_measurements",
    comment="Measurements of pianos: humidity, temperature, the pitch and dip of each A, how long tones sustain.",
    read=Nested(PIANOS_READ, "allPianoMeasurements", "", paged=False),
    deletion_proved_by=ById("pianoMeasurement", "id"),
    optional=True,
    group=Group.PIANOS,
    columns=(
        reference("piano", "pianoId", "The piano that was measured.", to="pianos", required=True),
        date("taken_on", "takenOn", "The day of the measurement."),
        integer("humidity", "humidity", "Relative humidity, in percent."),
        integer("temperature", "temperature", "Temperature, in the company's unit."),
        *(integer(f"a{n}_pitch", f"a{n}Pitch", f"Pitch of A{n}.") for n in range(8)),
        *(integer(f"a{n}_dip", f"a{n}Dip", f"Key dip of A{n}.") for n in range(8)),
        *(
            integer(f"{key}_sustain_{how}", f"{key}Sustain{how.title()}", f"How long {key.upper()} sounds when {how}.")
            for key in ("d6", "g6", "c7")
            for how in ("played", "plucked")
        ),
        timestamp("created_at", "createdAt", "When it was entered in Gazelle."),
        timestamp("updated_at", "updatedAt", "When it was last changed in Gazelle."),
    ),
)

"""piano_photos: what Gazelle knows of the photos of a piano; not the pictures."""

from gazelle_sync.tables.columns import integer, reference, text, timestamp
from gazelle_sync.tables.declaration import ById, ByParent, Cadence, Group, Nested, Table
from gazelle_sync.tables.pianos import PIANOS_READ

PIANO_PHOTOS = Table(
    name="piano_photos",
    comment="Photos of pianos: where they are, and what is noted of them. The pictures stay in Gazelle.",
    read=Nested(PIANOS_READ, "allPianoPhotos", "", record=ById("piano", "id")),
    deletion_proved_by=ByParent("piano_external_id"),
    every=Cadence.WEEK,
    optional=True,
    group=Group.PIANOS,
    example="SELECT piano_external_id, count(*) FROM gazelle.piano_photos WHERE deleted_at IS NULL GROUP BY 1",
    columns=(
        reference("piano", "pianoId", "The piano it shows.", to="pianos", required=True),
        text("url", "original.url", "Where the picture is.", personal=True),
        text("thumbnail_url", "thumbnail.url", "Where a small one is.", personal=True),
        text("mime_type", "original.mimeType", "The picture's format."),
        integer("size", "original.size", "The picture's size, in bytes."),
        text("notes", "notes", "What is noted of it.", personal=True),
        timestamp("taken_at", "takenAt", "When it was taken."),
        timestamp("created_at", "createdAt", "When it was added in Gazelle."),
    ),
)

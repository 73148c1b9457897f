"""row_changes: what a load inserts, updates, restores and marks as gone, with old and new values.

Keep out: what counts as a change (`comparison`, `tombstones`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from gazelle_sync.warehouse.connection import Cursor
from gazelle_sync.warehouse.target import Target

CHANGES_KEPT = "90 days"

NOTE_DIFFERENCE = """
INSERT INTO gazelle.row_changes (run_id, table_name, external_id, change, changed)
SELECT %(run_id)s, %(table)s, {s_key_text}, s."to do", coalesce(
    (SELECT jsonb_object_agg(o.key, jsonb_build_array(o.value, n.value))
     FROM jsonb_each(to_jsonb(t.*) || {t_otherwise}) o JOIN jsonb_each(to_jsonb(s.*)) n ON n.key = o.key
     WHERE s."to do" <> 'insert' AND o.key <> ALL({only_new}) AND o.value IS DISTINCT FROM n.value
       -- The row was not written since that column is there: what fills it was so before.
       AND (t.synced_at < (%(new_columns)s::jsonb ->> o.key)::timestamptz) IS NOT TRUE), '{{}}')
FROM difference s LEFT JOIN {target} t ON t.id = s."target id" WHERE s."to do" <> 'fill'
"""
# A placeholder that is gone was never shown to anybody.
NOTE_GONE = """
INSERT INTO gazelle.row_changes (run_id, table_name, external_id, change)
SELECT %(run_id)s, %(table)s, {t_key_text}, 'delete'
FROM {target} t JOIN gone ON {same_gone} WHERE t.synced_at IS NOT NULL
"""
FORGET = (
    "DELETE FROM gazelle.row_changes WHERE table_name = %(table)s AND changed_at < now() - %(changes_kept)s::interval"
)


def note_changes(cursor: Cursor, target: Target, run_id: str, new_columns: Mapping[str, datetime]) -> None:
    """Writes down what `difference` and `gone` will do to the table, before it is done.

    `new_columns` says since when a column is there that is being filled; that is no change.
    """
    since = json.dumps({name: at.isoformat() for name, at in new_columns.items()})
    values = {"run_id": run_id, "table": target.table.name, "new_columns": since}
    cursor.tell(target.compose(NOTE_DIFFERENCE), values)
    cursor.tell(target.compose(NOTE_GONE), values)

"""A table's rows on their way from the API to COPY: a file, so that memory does not grow with the account.

Keep out: SQL beyond COPY's own text format.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from typing import IO, Any

import pandas

from gazelle_sync.tables import Table, Type

NULL = "\\N"

# What COPY's text format gives a meaning to (PostgreSQL manual, COPY, "Text Format").
SPECIAL = re.compile(r"[\\\t\n\r]")
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Spool:
    """Rows in COPY's text format, in the order of `table.all_columns`. Gone when it is closed, or killed."""

    def __init__(self, table: Table) -> None:
        self.rows = 0
        self._encoders = [ENCODERS[column.type] for column in table.all_columns]
        # An unlinked file, readable by this process only.
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, frame: pandas.DataFrame) -> None:
        if frame.empty:
            return
        # Column after column, and all at once: pandas takes longer to look a column up than this does to encode it.
        columns = frame.to_numpy(dtype=object).T.tolist()
        encoded = [
            [NULL if value is None else encode(value) for value in column]
            for column, encode in zip(columns, self._encoders, strict=True)
        ]
        self._file.write("".join("\t".join(row) + "\n" for row in zip(*encoded, strict=True)).encode())
        self.rows += len(frame)

    def clear(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.rows = 0

    def rewound(self) -> IO[bytes]:
        self._file.seek(0)
        return self._file


def text(value: Any) -> str:
    escaped: str = value.translate(ESCAPES) if SPECIAL.search(value) else value
    return escaped


def text_array(value: Any) -> str:
    if not value:
        return "{}"
    # Every element is quoted, so that commas, braces and the word NULL are only text.
    quoted = ",".join('"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"' for element in value)
    return text("{" + quoted + "}")


def iso(value: Any) -> str:
    return str(value.isoformat())


ENCODERS: dict[Type, Callable[[Any], str]] = {
    Type.TEXT: text,
    Type.TEXT_ARRAY: text_array,
    Type.INTEGER: str,
    Type.NUMERIC: str,
    Type.BOOLEAN: str,
    Type.DATE: iso,
    Type.LOCAL_DATE: iso,
    Type.TIMESTAMP: iso,
    Type.LOCAL_TIME: iso,
}

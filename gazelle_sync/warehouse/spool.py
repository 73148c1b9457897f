"""A table's rows on their way from the API to COPY: a file, so that memory does not grow with the account.

Keep out: SQL beyond COPY's own text format.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import pandas

from gazelle_sync.files import explain
from gazelle_sync.tables import Table, Type
from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import WarehouseError

NULL = "\\N"

# What COPY's text format gives a meaning to (PostgreSQL manual, COPY, "Text Format").
SPECIAL = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
ESCAPES = str.maketrans(SPECIAL)


class Spool:
    """Rows in COPY's text format, with the columns of their frames. Gone when it is closed, or killed."""

    def __init__(self, table: Table) -> None:
        self.rows = 0
        self._encoders = {column.name: ENCODERS[column.type] for column in table.all_columns}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            # What could not be written is still in the buffer, and closing would try once more.
            with suppress(OSError):
                self._file.close()

    def add(self, frame: pandas.DataFrame) -> None:
        if frame.empty:
            return
        # Column after column, and all at once: pandas takes longer to look a column up than this does to encode it.
        columns = frame.to_numpy(dtype=object).T.tolist()
        encoded = [self._encoders[name](column) for name, column in zip(frame.columns, columns, strict=True)]
        with name_folder():
            self._open().write(("\n".join(map("\t".join, zip(*encoded, strict=True))) + "\n").encode())
        self.rows += len(frame)

    def clear(self) -> None:
        with name_folder():
            self._open().seek(0)
            self._open().truncate()
        self.rows = 0

    def rewind(self) -> IO[bytes]:
        with name_folder():
            self._open().seek(0)
        return self._open()

    def _open(self) -> IO[bytes]:
        if self._file is None:
            # An unlinked file, readable by this process only.
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed at the end
        return self._file


@contextmanager
def name_folder() -> Iterator[None]:
    """The system says what it refused, and not where: a write has no path. Raises `WarehouseError`."""
    try:
        yield
    except OSError as error:
        folder = tempfile.tempdir or "TMPDIR"
        raise WarehouseError(say("spool_unusable", folder=folder, why=explain(error))) from None


Encoder = Callable[[list[Any]], list[str]]


def encode_texts(column: list[Any]) -> list[str]:
    # Most columns have nothing to escape. Checking all values at once is faster.
    together = "".join([value for value in column if value is not None])
    if any(special in together for special in SPECIAL):
        return [NULL if value is None else value.translate(ESCAPES) for value in column]
    return [NULL if value is None else value for value in column]


def encode_each(encode: Callable[[Any], str]) -> Encoder:
    return lambda column: [NULL if value is None else encode(value) for value in column]


def encode_array(value: Any) -> str:
    # Every element is quoted, so that commas, braces and the word NULL are only text.
    quoted = ",".join('"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"' for element in value)
    return ("{" + quoted + "}").translate(ESCAPES)


def encode_times(column: list[Any]) -> list[str]:
    return [NULL if value is None else value.isoformat() for value in column]


def encode_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).translate(ESCAPES)


ENCODERS: dict[Type, Encoder] = {
    Type.TEXT: encode_texts,
    Type.TEXT_ARRAY: encode_each(encode_array),
    Type.INTEGER: encode_each(str),
    Type.NUMERIC: encode_each(str),
    Type.BOOLEAN: encode_each(str),
    Type.DATE: encode_times,
    Type.LOCAL_DATE: encode_times,
    Type.TIMESTAMP: encode_times,
    Type.LOCAL_TIME: encode_times,
    Type.JSON: encode_each(encode_json),
    Type.TRANSLATED: encode_texts,
}

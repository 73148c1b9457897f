"""From a node of the API's answer to a typed row, or to a reject that says what is wrong with it.

Any JSON value may stand in any field: it becomes a value that PostgreSQL takes and gives back equal, or
a reject; never an exception, never silence. Keep out: SQL, HTTP, and the declarations themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from operator import itemgetter
from types import NoneType
from typing import Any
from zoneinfo import ZoneInfo

from gazelle_sync.tables.columns import Column, Type
from gazelle_sync.tables.declaration import Table
from gazelle_sync.translations import say

Row = list[object]
Columns = Sequence[Sequence[Any]]

# PostgreSQL's text has no NUL, and its UTF-8 no lone surrogates; both can be written in JSON.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)", re.ASCII)
# Python 3.10 wants three or six digits of a second, or none.
TIMESTAMPS = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}(\d{3})?)?(Z|[+-]\d\d:\d\d))*", re.ASCII)
NUMBER = re.compile(r"[+-]?\d{1,500}(\.\d{1,500})?([eE][+-]?\d{1,2})?", re.ASCII)
INTEGER_LIMIT = 2**31
# What Gazelle uses where it does not know a language (field descriptions, CoreLocalization.locale).
DEFAULT_LOCALE = "en_US"
# Deeper than any answer that was asked for; Python's own limit is near a thousand.
DEEPEST = 50
# Gazelle's ids have some twenty characters. A row of a b-tree has room for 2,704 bytes (PostgreSQL manual, B-Tree,
# "Implementation"), and a key can have two ids.
ID_BYTES = 1000


@dataclass(frozen=True)
class Reject:
    """A record, or a part of one, that could not be stored as it came.

    `key` is what identifies the record, None where even that is missing. `payload` is the node as the
    API sent it.
    """

    key: tuple[str, ...] | None
    reason: str
    payload: object


class InvalidValue(ValueError):
    """A value that its column can't hold; the message says why."""


class RepairedValue(Exception):
    """A value that is stored though something about it was wrong: what, and what takes its place."""

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(reason)
        self.value = value


class RowReader:
    """Reads the nodes of one table. `rejects` grows as it goes.

    `zone` is the company's; `locale` (such as fr_CA) is the language that its clients are written to in.
    """

    def __init__(self, table: Table, zone: ZoneInfo, locale: str = DEFAULT_LOCALE) -> None:
        self.rejects: list[Reject] = []
        self._fields = [
            Field(column, zone, locale, is_id=column.name in table.key or column.references is not None)
            for column in table.all_columns
        ]
        self._key = itemgetter(*[table.all_columns.index(table.column(name)) for name in table.key])
        self._composite = len(table.key) > 1

    def columns(self, nodes: Sequence[object]) -> Columns:
        """The values of these nodes, a sequence per column of `table.all_columns`; less the rows that are set aside.

        A page of sound records is converted column by column, which takes half the time.
        """
        try:
            return [field.read_all(nodes) for field in self._fields]
        except (RepairedValue, KeyError, TypeError, ValueError, OverflowError):
            rows = [row for node in nodes if (row := self.row(node)) is not None]
            return transpose(rows, len(self._fields))

    def row(self, node: object) -> Row | None:
        """The row in the order of `table.all_columns`; None when it is set aside whole.

        Goes field by field: what can be kept of the row, and a reject that says what is wrong with the rest.
        """
        row: Row = []
        reasons: list[str] = []
        sound = True
        for field in self._fields:
            try:
                row.append(field.read(node))
            except RepairedValue as repair:
                row.append(repair.value)
                reasons.append(say("value_wrong", column=field.name, why=repair))
            except InvalidValue as problem:
                row.append(None)
                reasons.append(say("value_wrong", column=field.name, why=problem))
                sound = sound and field.nullable
            except KeyError as missing:
                # Not asked for or not answered is not the same as null: storing null would blank it.
                row.append(None)
                reasons.append(say("value_missing", column=field.name, field=missing))
                sound = False
        if reasons:
            self.rejects.append(Reject(self.key(row), "; ".join(reasons), node))
        return row if sound else None

    def key(self, row: Sequence[object]) -> tuple[str, ...] | None:
        """What identifies the row, also one that is set aside; None when a part of it is missing."""
        values = self._key(row)
        key: tuple[str, ...] = values if self._composite else (values,)
        return None if None in key else key


class Field:
    """One column's way from a node to its value."""

    def __init__(self, column: Column, zone: ZoneInfo, locale: str, *, is_id: bool) -> None:
        self.name = column.name
        self.nullable = column.nullable
        self._paths = column.paths
        self._getters = [make_getter(path) for path in column.paths]
        self._convert = to_id if is_id else make_converter(column.type, zone, locale)
        at_once = {Type.TEXT: convert_ids if is_id else convert_texts, Type.TIMESTAMP: convert_timestamps}
        self._convert_all = at_once.get(column.type, self._each_converted)
        self._derive = column.derive
        self.read: Callable[[Any], object] = self._read_derived if self._derive else self._read_plain

    def read_all(self, nodes: Sequence[Any]) -> Sequence[object]:
        """The values of all nodes. Whatever is wrong with any of them raises something: `read` says what."""
        columns = [self._convert_all(values_at(nodes, path)) for path in self._paths]
        values = list(map(self._derive, *columns)) if self._derive else columns[0]
        if not self.nullable and None in values:
            raise InvalidValue
        return values

    def _each_converted(self, values: Sequence[object]) -> Sequence[object]:
        return [None if value is None else self._convert(value) for value in values]

    def _read_plain(self, node: Any) -> object:
        try:
            value = self._getters[0](node)
        except TypeError:
            raise InvalidValue(say("value_of_other_shape")) from None
        if value is None:
            if self.nullable:
                return None
            raise InvalidValue(say("value_null"))
        return self._convert(value)

    def _read_derived(self, node: Any) -> object:
        assert self._derive is not None
        values: list[object] = []
        problems: list[str] = []
        for path, get in zip(self._paths, self._getters, strict=True):
            try:
                value = get(node)
                values.append(None if value is None else self._convert(value))
            except TypeError:
                values.append(None)
                problems.append(say("value_wrong", column=path, why=say("value_of_other_shape")))
            except InvalidValue as problem:
                # What is sound in the others may do.
                values.append(None)
                problems.append(say("value_wrong", column=path, why=problem))
            except RepairedValue as repaired:
                values.append(repaired.value)
                problems.append(say("value_wrong", column=path, why=repaired))
        derived = self._derive(*values)
        if derived is None and not self.nullable:
            raise InvalidValue("; ".join(problems) or say("value_null"))
        if problems:
            raise RepairedValue(derived, "; ".join(problems))
        return derived


def response_names(path: str) -> list[str]:
    """The names on a path as they stand in the answer: without the fields' arguments."""
    return [name.partition("(")[0] for name in path.split(".")]


def make_getter(path: str) -> Callable[[Any], object]:
    """Follows a dotted path; null on the way is null. Raises KeyError and TypeError as the node does."""
    first, *rest = response_names(path)
    if not rest:
        return itemgetter(first)

    def get(node: Any) -> object:
        value: Any = node[first]
        for name in rest:
            if value is None:
                return None
            value = value[name]
        return value

    return get


def values_at(nodes: Sequence[Any], path: str) -> Sequence[Any]:
    """What `make_getter`'s function finds in each."""
    first, *rest = response_names(path)
    values = [node[first] for node in nodes]
    for name in rest:
        values = [None if value is None else value[name] for value in values]
    return values


def make_converter(kind: Type, zone: ZoneInfo, locale: str) -> Callable[[Any], object]:
    """The function that checks and converts a value that is not null; it raises `InvalidValue` or `RepairedValue`."""
    return {
        Type.TEXT: to_text,
        Type.TEXT_ARRAY: to_text_array,
        Type.INTEGER: to_integer,
        Type.NUMERIC: to_numeric,
        Type.BOOLEAN: to_boolean,
        Type.DATE: to_date,
        Type.TIMESTAMP: to_timestamp,
        Type.LOCAL_DATE: lambda value: to_local(value, zone).date(),
        Type.LOCAL_TIME: lambda value: to_local(value, zone).time(),
        Type.JSON: to_json,
        Type.TRANSLATED: lambda value: to_translated(value, locale),
    }[kind]


def transpose(rows: Sequence[Row], width: int) -> Columns:
    return list(zip(*rows, strict=True)) or [()] * width


def convert_texts(values: Sequence[Any]) -> Sequence[object]:
    """The values, if each is null or a text that PostgreSQL can hold. Raises `InvalidValue` or `UnicodeError`.

    Checking all at once is faster, and most of what comes is text.
    """
    joined = "".join([value for value in values if value is not None])
    joined.encode()
    if "\0" in joined:
        raise InvalidValue
    return values


def convert_ids(values: Sequence[Any]) -> Sequence[object]:
    """The values, if each is null or an id. Raises `InvalidValue` or `UnicodeError`."""
    lengths = set(map(len, [value for value in values if value is not None]))
    # A character takes four bytes at most.
    if 0 in lengths or max(lengths, default=0) > ID_BYTES // 4:
        raise InvalidValue
    return convert_texts(values)


def convert_timestamps(values: Sequence[Any]) -> Sequence[object]:
    """Each in UTC, as `to_timestamp` has it; faster, where all are written so that every Python reads them."""
    if not TIMESTAMPS.fullmatch("".join([value for value in values if value is not None])):
        return [None if value is None else to_timestamp(value) for value in values]
    read = datetime.fromisoformat
    return [None if value is None else read(value.replace("Z", "+00:00")).astimezone(timezone.utc) for value in values]


def to_text(value: Any) -> str:
    if type(value) is not str:
        raise InvalidValue(not_as_due(value, "text_due"))
    if UNSTORABLE.search(value):
        raise RepairedValue(UNSTORABLE.sub(REPLACEMENT, value), say("text_repaired"))
    return value


def to_id(value: Any) -> str:
    """An id of Gazelle's, unchanged: one that had to be repaired would be another record's."""
    if type(value) is not str:
        raise InvalidValue(not_as_due(value, "text_due"))
    if not value:
        raise InvalidValue(say("id_empty"))
    if UNSTORABLE.search(value):
        raise InvalidValue(say("id_unstorable"))
    if len(value.encode()) > ID_BYTES:
        raise InvalidValue(say("id_too_long", length=len(value)))
    return value


def to_text_array(value: Any) -> list[str]:
    if type(value) is not list or any(type(element) is not str for element in value):
        raise InvalidValue(not_as_due(value, "texts_due"))
    if any(UNSTORABLE.search(element) for element in value):
        raise RepairedValue([UNSTORABLE.sub(REPLACEMENT, element) for element in value], say("text_repaired"))
    return value


def to_integer(value: Any) -> int:
    if type(value) is not int:
        raise InvalidValue(not_as_due(value, "whole_number_due"))
    if not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise InvalidValue(say("number_too_large"))
    return value


def to_numeric(value: Any) -> Decimal | None:
    """A number, or digits in a string, as coordinates come; a blank string is no number at all."""
    if value == "":
        return None
    digits = value if type(value) is str else repr(value) if type(value) in (int, float) else ""
    if not NUMBER.fullmatch(digits):
        raise InvalidValue(not_as_due(value, "number_due"))
    return Decimal(digits)


def to_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise InvalidValue(not_as_due(value, "boolean_due"))
    return value


def to_date(value: Any) -> date:
    if type(value) is not str or not DATE.fullmatch(value):
        raise InvalidValue(not_as_due(value, "date_due"))
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise InvalidValue(say("no_such_date")) from None


def to_timestamp(value: Any) -> datetime:
    """In UTC. Gazelle never sends a time without a zone, and one without could be any hour of the day."""
    found = TIMESTAMP.fullmatch(value) if type(value) is str else None
    if found is None:
        raise InvalidValue(not_as_due(value, "timestamp_due"))
    day, time, fraction, offset = found.groups()
    try:
        return datetime.fromisoformat(
            f"{day}T{time}.{(fraction or '').ljust(6, '0')}{'+00:00' if offset == 'Z' else offset}"
        ).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise InvalidValue(say("no_such_timestamp")) from None


def to_local(value: Any, zone: ZoneInfo) -> datetime:
    try:
        return to_timestamp(value).astimezone(zone)
    except OverflowError:
        raise InvalidValue(say("no_such_timestamp")) from None


def to_json(value: Any) -> Any:
    """A value as it came, if PostgreSQL's jsonb can hold it."""
    found = storable(value, DEEPEST)
    if found != value:
        raise RepairedValue(found, say("text_repaired"))
    return value


def storable(value: Any, depth: int) -> Any:
    if depth == 0:
        raise InvalidValue(say("nested_too_deeply"))
    if isinstance(value, str):
        return UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [storable(each, depth - 1) for each in value]
    if isinstance(value, dict):
        return {storable(name, depth - 1): storable(each, depth - 1) for name, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValue(say("not_finite"))
    return value


def to_translated(value: Any, locale: str) -> str | None:
    """The text of an `I18nString`: in this language, else in the same of another region, else en_US, else any."""
    if type(value) is str:
        return to_text(value)
    if type(value) is not dict or any(type(each) not in (str, NoneType) for each in value.values()):
        raise InvalidValue(not_as_due(value, "translations_due"))
    language = locale.partition("_")[0]
    said = {name: each for name, each in sorted(value.items()) if each and each.strip()}
    nearest = [name for name in said if name.partition("_")[0] == language]
    chosen = next((name for name in (locale, *nearest, DEFAULT_LOCALE, *said) if name in said), None)
    return None if chosen is None else to_text(said[chosen])


def not_as_due(value: object, due: str) -> str:
    """What a value is, and what was `due`; never the value, which may be personal."""
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return say(due, kind=say(f"kind_{names.get(type(value), 'null')}"))

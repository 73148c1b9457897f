"""`check` opens and writes what a sync will, on this machine; says all that can't be; and makes nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gazelle_sync.cli import places
from gazelle_sync.environment import settings as environment
from gazelle_sync.environment.settings import Misconfigured, Settings, read_settings
from gazelle_sync_tests.test_files import in_a_namespace, needs_mounts

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a moment")


@pytest.fixture
def installed(bare: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A root whose records and files a sync has written, in a folder that everybody may pass through."""
    root = Path(tempfile.mkdtemp(prefix="gazelle-sync-tests-"))
    bare.setattr(environment, "ROOT", root)
    for name in ("history/runs", "schedules", "compute_logs"):
        (root / "var/dagster" / name).mkdir(parents=True)
    (root / "var/logs").mkdir()
    for name in places.DATABASES:
        with closing(sqlite3.connect(root / "var/dagster" / name)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE runs (id)")
    for name in ("alerts.json", "watch.json", "watch.json.lock", "logs/gazelle-sync.log"):
        (root / "var" / name).write_text("{}")
    yield read_settings({})
    shutil.rmtree(root)


@pytest.fixture
def somebody_else(installed: Settings) -> Iterator[None]:
    """All of it is root's, and another user looks. The folders of temporary files are everybody's."""
    installed.root.chmod(0o755)
    for path in (installed.var, *installed.var.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


def everything(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_a_sync_has_written_can_be_used_and_stays_as_it_is(installed: Settings) -> None:
    before = everything(installed.root)
    assert places.check_files(installed) == f"{installed.var}, {tempfile.gettempdir()}"
    assert places.check_records(installed) == str(installed.var / "dagster")
    assert everything(installed.root) == before


def test_what_is_not_there_yet_is_not_made(installed: Settings) -> None:
    shutil.rmtree(installed.var)
    places.check_files(installed)
    places.check_records(installed)
    assert not installed.var.exists()


@as_root
def test_what_root_made_is_said_to_another_user_each_with_its_path(installed: Settings, somebody_else: None) -> None:
    with pytest.raises(Misconfigured) as files:
        places.check_files(installed)
    for name in ("", "/logs", "/alerts.json", "/watch.json.lock", "/logs/gazelle-sync.log"):
        assert f"{installed.var}{name} can't be used: this user may not do that" in str(files.value)
    with pytest.raises(Misconfigured) as records:
        places.check_records(installed)
    for name in places.DATABASES:
        assert f"under var/dagster can't be used: {name}: attempt to write a readonly database" in str(records.value)


@pytest.mark.parametrize("name", places.DATABASES)
def test_a_database_of_dagster_s_that_is_damaged_is_named(installed: Settings, name: str) -> None:
    file = installed.var / "dagster" / name
    file.write_bytes(b"what a dying disk left " * 500)
    with pytest.raises(Misconfigured, match=f"{name}: file is not a database"):
        places.check_records(installed)


def test_a_page_that_is_damaged_is_found_too(installed: Settings) -> None:
    file = installed.var / "dagster" / places.DATABASES[0]
    with closing(sqlite3.connect(file)) as database, database:
        database.executemany("INSERT INTO runs VALUES (?)", [("x" * 500,) for _ in range(100)])
    text = file.read_bytes()
    file.write_bytes(text[:8192] + b"\xff" * 4096 + text[12288:])
    with pytest.raises(Misconfigured, match=r"history/runs\.db: "):
        places.check_records(installed)


def test_a_database_of_dagster_s_that_another_program_holds_is_named(
    installed: Settings, bare: pytest.MonkeyPatch
) -> None:
    bare.setattr(places, "LOCK_PATIENCE", 0.1)
    with closing(sqlite3.connect(installed.var / "dagster/history/runs.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Misconfigured, match=r"history/runs\.db: database is locked"):
            places.check_records(installed)


@pytest.mark.parametrize("home", ["~/gazelle", "not/absolute", "/is/not/there"])
def test_a_home_of_dagster_s_that_is_none_is_said(installed: Settings, bare: pytest.MonkeyPatch, home: str) -> None:
    bare.setenv("DAGSTER_HOME", home)
    with pytest.raises(Misconfigured, match="DAGSTER_HOME is not an absolute path of a folder that is there"):
        places.check_records(installed)


@as_root
def test_a_token_that_could_not_be_renewed_is_said_before_it_has_to_be(
    bare: pytest.MonkeyPatch, installed: Settings
) -> None:
    (installed.root / "config").mkdir()
    token = installed.root / "config" / "token.json"
    token.write_text(json.dumps({"access_token": "a-token-of-ours", "refresh_token": "spent-by-being-used"}))
    settings = read_settings(
        {"GAZELLE_CLIENT_ID": "id", "GAZELLE_CLIENT_SECRET": "secret", "SUPABASE_DB_URL": "postgresql://h/d"}
    )
    places.check_files(settings)
    text = token.read_text()
    assert "spent-by-being-used" in text
    installed.root.chmod(0o755)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(Misconfigured, match=r"config/token\.json"):
            places.check_files(settings)
    finally:
        os.seteuid(0)
    assert token.read_text() == text


FULL = """
import sys
from pathlib import Path
from gazelle_sync.cli import places
from gazelle_sync.environment.settings import Misconfigured, Settings, read_settings
import dataclasses
settings = dataclasses.replace(read_settings({}), root=Path(sys.argv[1]))
try:
    places.check_files(settings)
except Misconfigured as error:
    print(error)
"""


@needs_mounts
def test_disks_without_room_are_named_by_their_folders(installed: Settings, tmp_path: Path) -> None:
    mounts = "; ".join(f'mount -t tmpfs -o size=64k t "{folder}"' for folder in (installed.var, tmp_path))
    said = in_a_namespace(f"{mounts}; export TMPDIR={tmp_path}", FULL, installed.root)
    assert said == " ".join(f"{folder} can't be used: the disk is full." for folder in (installed.var, tmp_path))


def test_no_folder_for_temporary_files_at_all_is_said(installed: Settings, bare: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    bare.setattr(tempfile, "gettempdir", none)
    with pytest.raises(Misconfigured, match="TMPDIR can't be used: it is not there"):
        places.check_files(installed)

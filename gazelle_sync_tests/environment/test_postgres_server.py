"""The embedded PostgreSQL: in any folder, shared by processes, stopped by the last one, well again after a crash."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gazelle_sync.environment.postgres_server import find_program
from gazelle_sync_tests.conftest import folder_for_postgres
from gazelle_sync_tests.project import PATIENCE, running

# A program that uses the servers in these folders until its input ends. It says each server's process and address.
USER = """
import sys
from pathlib import Path
import psycopg2
from gazelle_sync.environment.postgres_server import start_postgres

for folder in sys.argv[1:]:
    url = start_postgres(Path(folder))
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        cursor.execute("INSERT INTO kept VALUES (1)")
        cursor.execute("SELECT count(*) FROM kept")
        print(cursor.fetchone()[0], url, flush=True)
sys.stdin.read()
"""
NAMES = (
    "with spaces, été and l’étang's",
    'say "hi" $HOME `x` \\n;&',
    "100 %, or more",
    "long-" * 40 + "/" + "long-" * 40,
)


def start_user(*folders: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, *map(str, folders)],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    line = user.stdout.readline()
    assert line, user.communicate(timeout=PATIENCE)[1]
    return line


def server_of(folder: Path) -> int | None:
    """The server's process, or None when there is none."""
    try:
        pid = int((folder / "postgres/postmaster.pid").read_text().split()[0])
    except FileNotFoundError:
        return None
    return pid if psutil.pid_exists(pid) and psutil.Process(pid).name() == "postgres" else None


@pytest.fixture
def folder() -> Iterator[Path]:
    made = folder_for_postgres()
    yield made
    if pid := server_of(made):
        os.kill(pid, signal.SIGQUIT)


def test_any_path_will_do() -> None:
    root = folder_for_postgres()
    folders = [root / name for name in NAMES]
    with running(start_user(*folders)) as user:
        urls = [said(user).split(" ", 1)[1].strip() for _ in folders]
        _, err = user.communicate(timeout=PATIENCE)
    assert (user.returncode, len(set(urls))) == (0, len(NAMES)), err
    # What the embedded server is reached by can be typed: no character of it means anything to a shell or to libpq.
    assert all(
        set(url) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/@?=&_-.") for url in urls
    )
    assert [server_of(each) for each in folders] == [None] * len(NAMES)
    sockets = [Path(url.split("host=")[1].split("&")[0]) for url in urls]
    assert not any(each.exists() for each in sockets)


def test_the_program_too_may_stand_in_a_folder_of_any_name(folder: Path) -> None:
    """As `make install` puts it, below the project's folder."""
    found = find_program().parent.parent
    packages = folder / 'say "hi", $HOME `x` it\'s'
    shutil.copytree(found / "pginstall18", packages / found.name / "pginstall18")
    libraries = found.with_name(f"{found.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, packages / libraries.name)
    (packages / found.name / "__init__.py").touch()
    # As the command has it.
    before = os.umask(0o077)
    started = start_user(folder, PYTHONPATH=str(packages))
    os.umask(before)
    with running(started) as user:
        said(user)
        server = server_of(folder)
        assert server is not None
        assert psutil.Process(server).exe().startswith(str(packages))
        assert user.communicate(timeout=PATIENCE)[0] == ""
    assert server_of(folder) is None


def test_it_is_shared_by_processes_and_stopped_by_the_last_one_of_them(folder: Path) -> None:
    with running(start_user(folder)) as first:
        assert said(first).split()[0] == "1"
        with running(start_user(folder)) as second:
            assert said(second).split()[0] == "2"
            server = server_of(folder)
            first.communicate(timeout=PATIENCE)
            assert server_of(folder) == server is not None
            second.communicate(timeout=PATIENCE)
    assert server_of(folder) is None


def test_a_process_that_was_killed_does_not_keep_it_running_for_ever(folder: Path) -> None:
    with running(start_user(folder)) as killed:
        said(killed)
        with running(start_user(folder)) as last:
            said(last)
            killed.kill()
            killed.wait(PATIENCE)
            last.communicate(timeout=PATIENCE)
    assert server_of(folder) is None


def test_after_a_crash_of_the_machine_it_starts_again_with_what_was_committed(folder: Path) -> None:
    with running(start_user(folder)) as user:
        said(user)
        server = server_of(folder)
        assert server is not None
        family = psutil.Process(server).children()
        os.kill(server, signal.SIGKILL)
        user.kill()
    psutil.wait_procs(family, timeout=PATIENCE)
    file = folder / "postgres/postmaster.pid"
    lines = file.read_text().splitlines()
    # Its number is another process's now, as after a start of the machine: this one's.
    file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with running(start_user(folder)) as user:
        assert said(user).split()[0] == "2"
        user.communicate(timeout=PATIENCE)


def test_a_beginning_that_was_interrupted_is_no_obstacle(folder: Path) -> None:
    (folder / ".postgres-half").mkdir()
    (folder / ".postgres-half/PG_VERSION").write_text("18\n")
    (folder / "postgres").mkdir()
    with running(start_user(folder)) as user:
        assert said(user).split()[0] == "1"
        user.communicate(timeout=PATIENCE)
    assert [path.name for path in folder.iterdir()] == ["postgres"]


def test_what_keeps_it_from_starting_is_said_in_its_own_words(folder: Path) -> None:
    with running(start_user(folder)) as user:
        said(user)
        user.communicate(timeout=PATIENCE)
    with (folder / "postgres/postgresql.conf").open("a") as file:
        file.write("nonsense = 1\n")
    with running(start_user(folder)) as user:
        _, err = user.communicate(timeout=PATIENCE)
    assert "WarehouseError: The embedded PostgreSQL in" in err
    assert 'unrecognized configuration parameter "nonsense"' in err


def test_the_rights_of_the_folders_above_it_change_for_root_only_and_only_so_far_as_is_said(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with running(start_user(closed)) as user:
        said(user)
        _, err = user.communicate(timeout=PATIENCE)
    rights = stat.S_IMODE(closed.stat().st_mode)
    if os.geteuid():
        assert (rights, err) == (0o700, "")
    else:
        # Passing through, and no looking into it.
        assert rights == 0o701
        assert f"everybody may pass now (and not look into) {folder}, {closed}." in err
    assert stat.S_IMODE((closed / "postgres").stat().st_mode) == 0o700

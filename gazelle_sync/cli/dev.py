"""`gazelle-sync dev`: the Dagster UI, the schedules and the sensors, on this machine.

It runs Dagster's code server, daemon and webserver itself: `dagster dev` goes on without a part that died, says that
it ended well in any case, and serves whoever asks. Keep out: what the UI shows (`definitions`), who may ask it (`ui`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from gazelle_sync.cli.command import PORT, configured
from gazelle_sync.cli.services import Service, ServiceEnded, accepts, run_service, wait_until
from gazelle_sync.environment.settings import DEFAULTS, Misconfigured, Settings
from gazelle_sync.files import Busy, explain, hold_lock, make_socket_folder, replace_file
from gazelle_sync.translations import Speech

# How many ports are looked at for one that is free.
NEIGHBOURS = 100
# Seconds that a process gets to end in. The code server's runs roll back what they have not committed.
PATIENCE, PATIENCE_WITH_RUNS = 15, 60


@click.command()
@click.option("--port", "-p", type=PORT, default=3000)
@click.option("--host", default="127.0.0.1")
@click.option("--verbose", is_flag=True)
@configured
def dev(settings: Settings, say: Speech, port: int, host: str, verbose: bool) -> int:
    # A terminal that is closed ends everything, as Ctrl-C does.
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    os.environ.setdefault("DAGSTER_HOME", str(settings.root))
    # Off in dagster.yaml too; without this, Dagster still makes empty folders beside it for what it would send.
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    with ExitStack() as stack:
        url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104  compared, not listened on
        try:
            stack.enter_context(be_the_only_one(settings.var / "dev.json", url))
        except Busy:
            click.echo(say("dev_runs_already", **read_record(settings.var / "dev.json")), err=True)
            return 1
        except OSError as error:
            raise Misconfigured(say("var_unusable", folder=settings.var, reason=explain(error))) from None
        listener = stack.enter_context(take_port(host, port, say))
        if settings.ui_url == DEFAULTS["DAGSTER_UI_URL"]:
            os.environ["DAGSTER_UI_URL"] = url  # where links lead
        try:
            services = start_services(stack, settings, say, listener, verbose=verbose)
            click.echo(say("dev_serves", url=url))
            wait_until(lambda: False, services)
        except ServiceEnded as ended:
            code = "?" if ended.code is None else ended.code
            click.echo(say("dev_part_ended", part=say(ended.name), code=code), err=True)
            return 1
        except KeyboardInterrupt:
            click.echo(say("dev_ends"))
            return 0
        finally:
            # The end has begun, and is not to be interrupted: a service manager kills what takes too long.
            for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(ending, signal.SIG_IGN)
    return 0


def start_services(
    stack: ExitStack, settings: Settings, say: Speech, listener: socket.socket, *, verbose: bool
) -> list[Service]:
    """Starts one after the other, each when what it asks answers; `stack` ends them, the last one first."""
    level = "info" if verbose else "warning"
    services: list[Service] = []

    def run(name: str, *command: str, patience: float = PATIENCE, descriptors: Sequence[int] = ()) -> None:
        service = run_service(name, command, patience=patience, descriptors=descriptors)
        services.append(stack.enter_context(service))

    if settings.embedded:
        from gazelle_sync.environment import embedded  # noqa: PLC0415

        click.echo(say("banner"))
        embedded.start_postgres(settings.var)
        # One that outlives each single run, unless somebody serves one already.
        if not embedded.find_shared_sandbox(settings.var):
            run("dev_sandbox", "gazelle_sync.cli", "sandbox")
            wait_until(lambda: embedded.find_shared_sandbox(settings.var) is not None, services)
    folder = make_socket_folder()
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    code, workspace = folder / "code", folder / "workspace.yaml"
    # Every JSON is YAML. The name is workspace.yaml's: sensors remember by it.
    replace_file(
        workspace,
        json.dumps({"load_from": [{"grpc_server": {"socket": str(code), "location_name": "gazelle_sync"}}]}),
    )
    run(
        "dev_code_server",
        *("dagster", "code-server", "start", "--socket", str(code), "--location-name", "gazelle_sync"),
        *("--module-name", "gazelle_sync.definitions", "--log-level", level),
        patience=PATIENCE_WITH_RUNS,
    )
    wait_until(lambda: accepts(socket.AF_UNIX, str(code)), services)
    # What answers is a proxy, so that definitions can be loaded again; its child has them.
    services[-1].works_by_child = True
    run("dev_daemon", "dagster._daemon", "run", "--workspace", str(workspace), "--log-level", level)
    host, port = listener.getsockname()[:2]
    run(
        "dev_webserver",
        *("gazelle_sync.cli.ui", "--workspace", str(workspace), "--socket", str(listener.fileno())),
        *("--host", host, "--port", str(port)),
        descriptors=[listener.fileno()],
    )
    wait_until(lambda: accepts(listener.family, listener.getsockname()), services)
    return services


@contextmanager
def be_the_only_one(record: Path, url: str) -> Iterator[None]:
    """Writes down who serves where, while the block lasts. Raises `files.Busy` when another process does already."""
    with hold_lock(record, timeout=0):
        replace_file(record, json.dumps({"url": url, "pid": os.getpid()}))
        try:
            yield
        finally:
            record.unlink(missing_ok=True)


def read_record(record: Path) -> dict[str, object]:
    """Who serves where, as `be_the_only_one` wrote it."""
    try:
        told = json.loads(record.read_text())
        return {"url": told["url"], "pid": told["pid"]}
    except (OSError, ValueError, KeyError):  # it is about to begin, or to end
        return {"url": "?", "pid": "?"}


@contextmanager
def take_port(host: str, port: int, say: Speech) -> Iterator[socket.socket]:
    """A bound socket, so that nobody can take the port between looking and listening. Raises `Misconfigured`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        # A port whose last connections are still closing is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            free = find_free_port(family, host, port)
            if free is None:
                raise Misconfigured(say("dev_cannot_listen", host=host, port=port, reason=explain(error))) from None
            raise Misconfigured(say("dev_port_taken", port=port, reason=explain(error), free=free)) from None
        yield listener


def find_free_port(family: int, host: str, port: int) -> int | None:
    """The next port that can be listened on; None where none can, as on an address that is not this machine's."""
    for candidate in range(port + 1, min(port + NEIGHBOURS, 65535)):
        with socket.socket(family) as probe:
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    return None

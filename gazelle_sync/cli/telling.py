"""Tells people, from the command: what a run left to be said, what kept one from being run, what an earlier one left.

It needs neither Dagster nor its records nor the database. Keep out: what there is to tell of runs
(`monitoring.incidents`), and how it is worded and sent (`alerts`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import click

from gazelle_sync.cli.faults import describe_fault, log_traceback
from gazelle_sync.environment.settings import Settings

# Seconds for which the command tries again before it ends: greylisting and short outages pass.
PATIENCE = 120.0
PAUSES = (2.0, 5.0, 10.0, 20.0, 30.0, 30.0, 30.0)
# Seconds for a process that was asked to end. Docker kills it after ten.
GRACE = 6.0
# On the context of a command that has tried already.
TRIED = "gazelle_sync.tried_to_tell"


@contextmanager
def tell_of_failure(settings: Settings) -> Iterator[None]:
    """What ends the run in here without an outcome is told to people, and raised on."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except BaseException as error:
        tell_of(settings, error)
        raise


def tell_of(settings: Settings, error: BaseException) -> None:
    """That a run failed for this, to whom is to be told. Says so where that can't be told either."""
    if not settings.alerts_on:
        return
    from gazelle_sync.alerts import Incident, Kind  # noqa: PLC0415
    from gazelle_sync.environment import connections  # noqa: PLC0415
    from gazelle_sync.jobs import SYNC  # noqa: PLC0415

    why = describe_fault(error)
    incident = Incident(
        Kind.RUN_FAILED, f"run:{SYNC.name}", SYNC.name, datetime.now(timezone.utc), why, settings.ui_url
    )
    interrupted = isinstance(error, KeyboardInterrupt)
    try:
        alerts = connections.make_alerts(settings)
        try:
            alerts.open(incident)
        except OSError:
            # What can't be kept, as on a full disk, is sent all the same.
            alerts.send_unkept(incident)
            return
    except Exception as failure:  # whatever it is, the fault that is to be told is shown
        say_not_sent(describe_fault(failure))
        return
    tell(settings, interrupted=interrupted)


def tell(settings: Settings, *, interrupted: bool = False) -> None:
    """Sends all that waits, with some patience; says so where it can't be sent.

    A process that was asked to end (`interrupted`) has little time, and leaves what it can't send to the next command.
    """
    if not settings.alerts_on:
        return
    click.get_current_context().meta[TRIED] = True
    failures = send_once(settings, GRACE) if interrupted else send_patiently(settings)
    if failures:
        say_not_sent("; ".join(failures))


def tell_what_is_left(settings: Settings) -> None:
    """Sends what an earlier command could not, once and quickly."""
    if click.get_current_context().meta.get(TRIED) or not settings.alerts_on:
        return
    if not any((settings.var / name).exists() for name in ("alerts.json", "watch.json")):
        return
    if failures := send_once(settings, GRACE):
        say_not_sent("; ".join(failures))


def send_patiently(settings: Settings) -> list[str]:
    """Why not everything was sent, after trying for two minutes where that may help."""
    deadline = time.monotonic() + PATIENCE
    for pause in (*PAUSES, PATIENCE):
        failures, lasting = send_all(settings)
        if not failures or lasting or time.monotonic() + pause > deadline:
            break
        time.sleep(pause)
    return failures


def send_once(settings: Settings, seconds: float) -> list[str]:
    """The same, once and no longer than so many seconds: what is under way then is left to a later command."""
    found: list[str] = []
    ended = threading.Event()

    def send() -> None:
        found.extend(send_all(settings)[0])
        ended.set()

    threading.Thread(target=send, daemon=True).start()
    ended.wait(seconds)
    return found


def send_all(settings: Settings) -> tuple[list[str], bool]:
    """Why not everything was sent, and whether a person has to do something before it can be."""
    from gazelle_sync.alerts import NotSent  # noqa: PLC0415
    from gazelle_sync.environment import connections  # noqa: PLC0415
    from gazelle_sync.monitoring.heartbeat import give_sign_of_life  # noqa: PLC0415

    def deliver() -> tuple[list[str], bool]:
        failures = connections.make_alerts(settings).deliver()
        return [str(failure) for failure in failures], all(failure.lasting for failure in failures)

    def beat() -> tuple[list[str], bool]:
        give_sign_of_life(settings.var / "watch.json", settings.heartbeat_url)
        return [], True

    reasons: list[str] = []
    lasting = True
    steps: tuple[Callable[[], tuple[list[str], bool]], ...] = (deliver, beat)
    for step in steps:
        try:
            found, lasts = step()
        except NotSent as error:
            found, lasts = [str(error)], error.lasting
        except Exception as error:  # what was done is done, whatever keeps it from being told
            if not isinstance(error, (OSError, ValueError)):
                log_traceback(settings.root, error)
            found, lasts = [describe_fault(error)], True
        reasons += found
        lasting = lasting and lasts
    return reasons, lasting


def say_not_sent(why: str) -> None:
    from gazelle_sync.translations import say  # noqa: PLC0415

    click.echo(say("not_sent", why=why), err=True)

"""What all commands share: settings, language, exit codes, and a screen to write on.

Exit codes: 0 done, warnings included; 1 failed; 2 misconfigured. Keep out: anything that one command does.
"""

from __future__ import annotations

import gc
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click
from rich.console import Console, ConsoleDimensions
from rich.text import Text

from gazelle_sync.cli.faults import describe_fault, log_traceback
from gazelle_sync.cli.help import find_speech
from gazelle_sync.cli.telling import tell_of, tell_what_is_left
from gazelle_sync.environment import settings as environment
from gazelle_sync.environment.settings import Misconfigured, load_files, read_settings, read_what_can_be
from gazelle_sync.redaction import PlainError, make_printable
from gazelle_sync.translations import Speech

# Commands that nobody waits in front of: what keeps one from beginning is told to people, too.
UNATTENDED = ("sync",)


class Day(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A day, as 2026-03-31."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return datetime.strptime(str(value), "%Y-%m-%d")
        except ValueError:
            self.fail(find_speech()("no_such_day", value=value), param, ctx)


class Port(click.ParamType):  # type: ignore[type-arg]
    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
            self.fail(find_speech()("no_such_port", value=value), param, ctx)
        return int(text)


class File(click.ParamType):  # type: ignore[type-arg]
    """A file to write, which need not be there."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        file = Path(value)
        if file.is_dir():
            self.fail(find_speech()("is_a_folder", value=value), param, ctx)
        return file


DATE = Day()
PORT = Port()
FILE = File()


@contextmanager
def freeze_imports() -> Iterator[None]:
    """While modules are imported: they are there to stay, and need not be looked through for garbage, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def configured(command: Callable[..., int | None]) -> Callable[..., None]:
    """Gives a command the settings and the speech; ends it with its exit code, and with one line in place of a
    traceback. Whatever the command, what could not be told to people earlier is sent."""

    @wraps(command)
    def run(**options: Any) -> None:
        # Paths in dagster.yaml, and the default of GAZELLE_TOKEN_FILE, are meant from here.
        context = click.get_current_context()
        context.obj = Path.cwd()
        os.chdir(environment.ROOT)
        # What a service manager sends ends a command as Ctrl-C does: in order. A shell's background job ignores
        # the latter, and so would Dagster's processes, which take their handling of both from it.
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.default_int_handler)
        # What a terminal has no sign for, such as ✓, is a question mark there, and not the end.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        # A log that can't be written is no reason to show a person a traceback.
        logging.raiseExceptions = False
        # What is written here is for its owner: Dagster's records have samples of rows in them.
        os.umask(0o077)
        settings = None
        try:
            load_files()
            settings = read_settings()
            code = command(settings=settings, say=Speech(settings.language), **options) or 0
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            # Our own errors are sentences; of all others, the log file has the traceback.
            if isinstance(error, Exception) and not isinstance(error, PlainError):
                log_traceback(environment.ROOT, error)
            click.echo(f"gazelle-sync: {describe_fault(error)}", err=True)
            code = 2 if isinstance(error, Misconfigured) else 1
            if settings is None and context.info_name in UNATTENDED:
                tell_of(read_what_can_be(), error)
        if settings:
            tell_what_is_left(settings)
        sys.exit(code)

    return run


def started_in() -> Path:
    """The folder that the command was started in, where the files that a person names are."""
    folder: Path = click.get_current_context().obj
    return folder


def how_to_run(command: str) -> str:
    """One of the commands as it can be typed where this one was."""
    if not (environment.ROOT / "Makefile").exists():
        return f"gazelle-sync {command}"
    return (
        f"make {command}"
        if started_in() == environment.ROOT
        else f"make -C {shlex.quote(str(environment.ROOT))} {command}"
    )


class Screen(Console):
    """A console that what others wrote, a record or a server, can't move the cursor of, nor turn the lines around."""

    @property
    def size(self) -> ConsoleDimensions:
        """Its own terminal's, whatever the standard descriptors lead to meanwhile."""
        if self.is_terminal and "COLUMNS" not in os.environ:
            with suppress(OSError, ValueError):
                return ConsoleDimensions(*os.get_terminal_size(self.file.fileno()))
        return super().size

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self._width, self._height = new

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(make_printable(text), **options)


def make_screen() -> Console:
    """On a descriptor of its own: Dagster takes the standard ones for the logs of a step, as long as one runs.

    A log is not as narrow as rich takes it to be.
    """
    file = None
    with suppress(OSError, ValueError):  # in a test, it is no file at all
        sys.stdout.flush()
        file = os.fdopen(os.dup(sys.stdout.fileno()), "w", 1, encoding=sys.stdout.encoding, errors="replace")
    return Screen(file=file) if sys.stdout.isatty() else Screen(file=file, width=120)


def wait_for_interrupt() -> None:
    """Returns when the process is asked to end."""
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo()

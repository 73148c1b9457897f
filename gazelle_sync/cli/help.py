"""What `--help` says, and what is refused, in the reader's language: click's own words, with texts from `translations`.

Keep out: what a command does, and the sentences themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click import core, exceptions, parser

from gazelle_sync.environment.settings import Misconfigured, load_files, parse_language
from gazelle_sync.translations import TEXTS, Speech

# What is written after an option, by command and parameter.
PLACES = {
    "sync tables": "name",
    "sync first": "date",
    "sync last": "date",
    "status file": "file",
    "check file": "file",
    "login port": "port",
    "sandbox port": "port",
    "dev port": "port",
    "dev host": "address",
    "ui port": "port",
    "ui host": "address",
    "ui workspace": "file",
    "psql arguments": "arguments",
}


# click's own sentences, which it looks up in a catalogue: English → its name in `TEXTS`.
SENTENCES = {english: name for name, (english, _) in TEXTS.items() if name.startswith("click_")}


class Formatter(click.HelpFormatter):
    """Headings in the reader's language, and nothing cut."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix or find_speech()("help_usage"))

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        with super().section(find_speech()(f"help_{name.lower()}")):
            yield

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{find_speech()('help_heading', name=heading)}\n")


class Context(click.Context):
    formatter_class = Formatter


class Command(click.Command):
    """A program by itself."""

    context_class = Context

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        translate(self, find_speech())
        translate_sentences()
        return super().make_context(*args, **options)


class Group(Command, click.Group):
    """The commands, each with its whole first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_line(command)) for name, command in self.commands.items()])


def find_speech() -> Speech:
    """The language that a command would speak; English where that is set to none."""
    try:
        load_files()
        return Speech(parse_language(os.environ.get("GAZELLE_SYNC_LANG", "")))
    except Misconfigured:
        return Speech("en")


def translate_sentences() -> None:
    """What click says of what was typed. One that is not known here stays as click has it."""
    for module in (core, exceptions, parser):
        for name, lookup in (("_", find_sentence), ("ngettext", find_sentence_of_number)):
            if hasattr(module, name):
                setattr(module, name, lookup)


def find_sentence(english: str) -> str:
    name = SENTENCES.get(english)
    return find_speech().pattern(name) if name else english


def find_sentence_of_number(one: str, many: str, count: int) -> str:
    return find_sentence(one if count == 1 else many)


def translate(command: click.Command, say: Speech) -> None:
    """Gives a command, its own commands and every option its text: `help_<command>`, `help_<command>_<option>`."""
    # One that is forgotten keeps its own, and a test says so: no command is to fail for its help.
    own = "help_all" if isinstance(command, click.Group) else f"help_{command.name}"
    command.help = say(own) if own in TEXTS else command.help
    command.context_class = Context
    command.options_metavar = say("help_place_options")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            name = f"help_{command.name}_{parameter.name}"
            parameter.help = say(name) if name in TEXTS else parameter.help
        # A word that stands for what a person writes there.
        if place := PLACES.get(f"{command.name} {parameter.name}"):
            parameter.metavar = say(f"help_place_{place}")
    with click.Context(command, help_option_names=["-h", "--help"]) as context:
        shown = command.get_help_option(context)
    if shown:
        shown.help = say("help_this")
    if isinstance(command, click.Group):
        command.subcommand_metavar = say("help_place_command")
        for each in command.commands.values():
            translate(each, say)


def first_line(command: click.Command) -> str:
    return (command.help or "").split("\n", 1)[0]

"""A copy of the project in a folder of its own, and its command as a real process: nothing reaches this one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import gazelle_sync

SOURCE = Path(gazelle_sync.__file__).resolve().parent.parent
PARTS = ("dagster.yaml", "workspace.yaml", "pyproject.toml", ".env.example")
COMMANDS = Path(sys.executable).parent
# Nothing that is asked of a process here takes as long.
PATIENCE = 120


@dataclass(frozen=True)
class Ended:
    """A process that has ended. `text` is what it said, on stdout and then on stderr, in one line."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return " ".join(f"{self.out} {self.err}".split())


class Project:
    """The project's files in `root`, and the environment that its processes get: this, and nothing else of ours."""

    def __init__(self, root: Path, **variables: str) -> None:
        self.root = root
        self.home = root.parent / f"{root.name}-home"
        self.home.mkdir(parents=True)
        # With its bytecode, which is valid as long as the times are the same, so that it starts as fast as ours.
        shutil.copytree(SOURCE / "gazelle_sync", root / "gazelle_sync")
        for part in PARTS:
            shutil.copy2(SOURCE / part, root / part)
        for kept in (".gitignore", "logs/.gitignore"):
            (root / "var" / kept).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / "var" / kept, root / "var" / kept)
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(root),
            **variables,
        }

    def run(self, *arguments: str, program: str = "gazelle-sync", **variables: str) -> Ended:
        process = self.start(*arguments, program=program, **variables)
        out, err = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, out, err)

    def start(
        self,
        *arguments: str,
        program: str = "gazelle-sync",
        stdout: int | IO[Any] = subprocess.PIPE,
        **variables: str,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMANDS / program, *arguments],
            # Our command is started from elsewhere: it may not depend on where somebody stands. Dagster's does.
            cwd=self.home if program == "gazelle-sync" else self.root,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def files(self) -> set[str]:
        """What there is beside what was copied: paths below the root and below `HOME`, caches of Python left out."""
        copied = {f"{self.root.name}/{part}" for part in (*PARTS, "var/.gitignore", "var/logs/.gitignore")}
        found = {
            str(path.relative_to(self.root.parent))
            for folder in (self.root, self.home)
            for path in folder.rglob("*")
            if path.is_file() or (path.is_dir() and not any(path.iterdir()))
        }
        package = f"{self.root.name}/gazelle_sync/"
        return {path for path in found - copied if not path.startswith(package)}


@contextlib.contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Ends what a failed test would leave behind."""
    try:
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
    finally:
        assert process.poll() is not None

"""A file is replaced whole or not at all, wherever it is and whatever the umask; no lock is waited for without end."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gazelle_sync import files
from gazelle_sync.files import PUBLIC, Busy, check_replaceable, follow_links, hold_lock, replace_file
from gazelle_sync_tests.conftest import AT_ONCE

# What is mounted, is mounted for one process and its children only, by whoever they are.
IN_A_NAMESPACE = ["unshare", "--map-root-user", "--mount"]
needs_mounts = pytest.mark.skipif(
    subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True, check=False).returncode != 0,
    reason="this machine lets nobody make a namespace",
)


def in_a_namespace(mounts: str, script: str, *arguments: object) -> str:
    """What a Python script says after these mounts; `$1` and on are the arguments."""
    shell = f'set -e; {mounts}; exec "$0" -c "$SCRIPT" "$@"'
    ended = subprocess.run(
        [*IN_A_NAMESPACE, "sh", "-c", shell, sys.executable, *map(str, arguments)],
        env={**os.environ, "SCRIPT": script},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.fixture(params=[0o000, 0o027, 0o077, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*")}


def test_files_folders_and_locks_have_their_mode_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    replace_file(tmp_path / "a/b/token.json", "x")
    replace_file(tmp_path / "public/page.html", "x", mode=PUBLIC)
    with hold_lock(tmp_path / "c/token.json", timeout=0):
        pass
    assert modes(tmp_path) == {
        "a": "0o700",
        "a/b": "0o700",
        "a/b/token.json": "0o600",
        "public": "0o755",
        "public/page.html": "0o644",
        "c": "0o700",
        "c/token.json.lock": "0o600",
    }


def test_a_link_is_written_through_and_stays_one(tmp_path: Path) -> None:
    """`config/token.json` on a volume of its own, as people link it."""
    real, link = tmp_path / "volume/real.json", tmp_path / "token.json"
    replace_file(real, "old")
    link.symlink_to("volume/real.json")
    check_replaceable(link)
    replace_file(link, "new")
    assert (link.is_symlink(), real.read_text()) == (True, "new")
    # Whoever comes by the other way meets the same lock.
    with hold_lock(link, timeout=0), pytest.raises(Busy), hold_lock(real, timeout=0):
        pass


def planted(link: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that somebody else made: for root that is easy, and for others it is ours that they seem not to be."""
    link.symlink_to(target)
    if os.geteuid() == 0:
        os.lchown(link, 12345, 12345)
    else:
        monkeypatch.setattr(files.os, "geteuid", lambda: 12345)


def test_nothing_is_written_through_a_link_that_somebody_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    link, lock = tmp_path / "token.json", tmp_path / "other.json.lock"
    planted(link, victim, monkeypatch)
    planted(lock, victim, monkeypatch)
    for act in (replace_file, lambda path, _: check_replaceable(path), lambda path, _: follow_links(path)):
        with pytest.raises(OSError, match=r"token\.json is a link that another user made"):
            act(link, "x")
    for path in (link, tmp_path / "other.json"):
        with pytest.raises(OSError, match=r"link"), hold_lock(path, timeout=0):
            pass
    assert victim.read_text() == "theirs"


def test_a_lock_is_not_waited_for_without_end_and_says_which_it_is(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from gazelle_sync.files import hold_lock\n"
            "with hold_lock(Path(sys.argv[1]), timeout=0):\n print('held', flush=True); time.sleep(60)",
            str(path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(Busy, match=rf"another process has kept {path} for 0 s"), hold_lock(path, timeout=0.3):
            pass
        assert 0.3 <= time.monotonic() - began < AT_ONCE
    finally:
        holder.kill()
        holder.wait()
    # What a crash leaves is no lock.
    with hold_lock(path, timeout=5):
        pass


REPLACE = """
import sys; from pathlib import Path; from gazelle_sync.files import *
path = Path(sys.argv[1])
with hold_lock(path, timeout=1):
    check_replaceable(path)
    replace_file(path, "new" * int(sys.argv[3]))
print(len(list(path.parent.iterdir())))
"""


@needs_mounts
def test_a_file_that_is_mounted_by_itself_is_written_in_place(tmp_path: Path) -> None:
    """As `docker run -v …/token.json:/app/config/token.json` does: to rename over it fails with EBUSY."""
    outside, inside = tmp_path / "outside.json", tmp_path / "config" / "token.json"
    inside.parent.mkdir()
    inside.touch()
    for times in (100, 1):
        outside.write_text("old" * 50)
        seen = in_a_namespace('mount --bind "$2" "$1"', REPLACE, inside, outside, times)
        assert outside.read_text() == "new" * times
        # The file and its lock: no copy is left.
        assert seen == "2"


@needs_mounts
def test_a_mounted_file_in_a_folder_that_can_not_be_written_is_written_and_locked_all_the_same(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside.json", tmp_path / "config" / "token.json"
    inside.parent.mkdir()
    inside.touch()
    outside.write_text("old")
    folder = inside.parent
    mounts = f'mount --bind "{folder}" "{folder}"; mount -o remount,bind,ro "{folder}"; mount --bind "$2" "$1"'
    assert in_a_namespace(mounts, REPLACE, inside, outside, 1) == "1"
    assert outside.read_text() == "new"


CHECK = """
import sys; from pathlib import Path; from gazelle_sync.files import *
path = Path(sys.argv[1])
try: check_replaceable(path)
except OSError as error: print(explain(error))
print(path.read_text())
"""


@needs_mounts
@pytest.mark.parametrize(
    ("mounts", "why"),
    [
        (
            'cp "$1" "$2"; mount -t tmpfs -o size=12k t "${1%/*}"; cp "$2" "$1"; head -c 8k /dev/zero > "${1%/*}/x"',
            "the disk is full",
        ),
        ('mount --bind "$2" "$1"; mount -o remount,bind,ro "$1"', "it can only be read"),
        ('mount --bind "${1%/*}" "${1%/*}"; mount -o remount,bind,ro "${1%/*}"', "it can only be read"),
    ],
    ids=["a full disk", "a file mounted read-only", "a folder mounted read-only"],
)
def test_what_can_not_be_replaced_is_known_before_and_left_as_it_was(tmp_path: Path, mounts: str, why: str) -> None:
    path, other = tmp_path / "config" / "token.json", tmp_path / "other.json"
    path.parent.mkdir()
    path.write_text("old")
    other.write_text("old")
    said = in_a_namespace(mounts, CHECK, path, other)
    assert said.startswith(why)
    assert said.endswith("old")

"""The one way a file is replaced whole, or held by one process at a time; and a folder for sockets.

Keep out: what is in the files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

# Only its owner may read it; and everybody.
PRIVATE, PUBLIC = 0o600, 0o644


def replace_file(path: Path, text: str, *, mode: int = PRIVATE) -> None:
    """Puts a text in the place of the file, which is made with its folder if need be; UTF-8, with this mode.

    A crash, or a machine that loses its power, leaves the old file or the new one, and never a part. Raises `OSError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600, and never through a link that somebody left there.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def hold_lock(path: Path, *, timeout: float, name: str = "lock") -> Iterator[None]:
    """Keeps other processes from what `path` is: `<path>.<name>` is locked meanwhile, and let go by a crash.

    Raises `filelock.Timeout` when another process keeps it for longer than `timeout` seconds, and `OSError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.{name}", timeout=timeout, mode=0o600):
        yield


def make_socket_folder() -> Path:
    """A private folder (0700) with a short path: a socket's has room for 107 bytes (unix(7)). Who makes it removes it.

    Its name can't be guessed, so nobody can have put something else in its place.
    """
    # Not where TMPDIR says: that can be long.
    return Path(tempfile.mkdtemp(prefix="gazelle-sync-", dir="/tmp"))

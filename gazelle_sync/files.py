"""The one way a file is replaced whole, or held by one process at a time; and a folder for sockets.

Keep out: what is in the files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gazelle_sync.translations import TEXTS, say

# Only its owner may read it; and everybody.
PRIVATE, PUBLIC = 0o600, 0o644
# As many links as Linux follows.
MOST_LINKS = 40
# Seconds between two looks at a lock.
PAUSE = 0.05

# A folder that no file can be made in, though one that is there may be written.
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
# What a container or a user mounted by itself can be written, and not replaced.
MOUNTED = (errno.EBUSY,)


class Busy(OSError):
    """Another process keeps a lock. The message names the file."""


def replace_file(path: Path, text: str, *, mode: int = PRIVATE) -> None:
    """Puts a text in the place of the file, which is made with its folder if need be; UTF-8, with this mode.

    A crash, or a machine that loses its power, leaves the old file or the new one, and never a part. Where the file
    can't be replaced, as one that is mounted by itself, it is written in place, with a copy beside it meanwhile where
    there may be one. A link is written through (`follow_links`). Raises `OSError`.
    """
    _replace(follow_links(path), text.encode(), mode)


def check_replaceable(path: Path, room: int = 1 << 14) -> None:
    """Raises the `OSError` that `replace_file` would: replaces the file by itself, and so changes nothing.

    `room` is how many bytes the disk must have besides.
    """
    path = follow_links(path)
    try:
        _write_beside(path, bytes(room), PRIVATE).unlink()
    except OSError as error:
        if error.errno not in CLOSED:
            raise
    with suppress(FileNotFoundError):
        _replace(path, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))


def check_writable(folder: Path) -> None:
    """Raises the `OSError` that a new file in the folder, which is made if need be, would; and leaves none."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def follow_links(path: Path) -> Path:
    """Where the file is that the path leads to, which need not be there.

    Raises `OSError` for a link that neither this user nor root made: somebody else would choose what is overwritten.
    """
    for _ in range(MOST_LINKS):
        try:
            link = path.lstat()
        except FileNotFoundError:
            return path
        if not stat.S_ISLNK(link.st_mode):
            return path
        if link.st_uid not in (0, os.geteuid()):
            raise OSError(errno.EPERM, say("link_of_another", path=path))
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def explain(error: OSError) -> str:
    """Why the system refused, in words: the usual reasons in the language of this process."""
    name = f"errno_{errno.errorcode.get(error.errno or 0, '').lower()}"
    return say(name) if name in TEXTS else error.strerror or type(error).__name__


@contextmanager
def hold_lock(path: Path, *, timeout: float, name: str = "lock") -> Iterator[None]:
    """Keeps other processes from what `path` is: `<path>.<name>` is locked meanwhile, and let go by a crash.

    Raises `Busy` when another process keeps it for longer than `timeout` seconds, and `OSError`.
    """
    with _hold(_open_lock(follow_links(path), name), path, timeout):
        yield


@contextmanager
def hold_folder(folder: Path, *, timeout: float) -> Iterator[None]:
    """As `hold_lock`, for a folder that is there: the folder itself is locked, and no file is made."""
    with _hold(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), folder, timeout):
        yield


@contextmanager
def _hold(descriptor: int, path: Path, timeout: float) -> Iterator[None]:
    """Locks what is open, and closes it at the end."""
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Busy(errno.EAGAIN, say("lock_is_kept", path=path, seconds=f"{timeout:.0f}")) from None
            time.sleep(PAUSE)
        yield
    finally:
        os.close(descriptor)


def make_socket_folder() -> Path:
    """A private folder (0700) with a short path: a socket's has room for 107 bytes (unix(7)). Who makes it removes it.

    Its name can't be guessed, so nobody can have put something else in its place.
    """
    # Not where TMPDIR says: that can be long.
    return Path(tempfile.mkdtemp(prefix="gazelle-sync-", dir="/tmp"))


def _open_lock(path: Path, name: str) -> int:
    """The lock's file, with the right mode and never through a link; the file itself where no other can be made."""
    lock = Path(f"{path}.{name}")
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        _make_folder(lock.parent, PRIVATE)
        descriptor = os.open(lock, flags | os.O_CREAT, PRIVATE)
    except OSError as error:
        if error.errno in CLOSED and path.is_file():
            return os.open(path, flags)
        raise
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, PRIVATE)
    return descriptor


def _replace(path: Path, data: bytes, mode: int) -> None:
    try:
        beside = _write_beside(path, data, mode)
    except OSError as error:
        if error.errno in CLOSED and path.is_file():
            _write_in_place(path, data)
            return
        raise
    try:
        beside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno not in MOUNTED:
            raise
        _write_in_place(path, data)
    finally:
        beside.unlink(missing_ok=True)


def _write_beside(path: Path, data: bytes, mode: int) -> Path:
    """A new file in the same folder, on the disk when this returns."""
    _make_folder(path.parent, mode)
    # mkstemp makes the file with mode 0600, and never through a link that somebody left there.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside


def _write_in_place(path: Path, data: bytes) -> None:
    """Over what is there, so that no room is needed but for what is longer; what was longer is cut off at the end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for start in range(0, len(data), 1 << 16):
            file.write(data[start : start + (1 << 16)])
        os.fsync(file.fileno())
        file.truncate(len(data))
        os.fsync(file.fileno())


def _make_folder(folder: Path, mode: int) -> None:
    """With those above it that are missing, open to whom a file of this mode is, whatever the umask."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, mode)
    with suppress(FileExistsError):
        folder.mkdir(0o700)
        folder.chmod(0o755 if mode == PUBLIC else 0o700)


def _sync_folder(folder: Path) -> None:
    """A name that was changed lasts once its folder is on the disk; not every file system has that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

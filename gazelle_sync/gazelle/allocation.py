"""What the C library does with memory that Python has freed. Keep out: what the memory was for."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import cache

# glibc's number of the setting (malloc.h). The size is in bytes: an answer of a thousand records has more.
# With 128 kB, where glibc begins, smaller blocks go with them, which costs a twentieth of the time.
M_MMAP_THRESHOLD = -3
FROM = 256 * 1024


@cache
def give_back_at_once() -> None:
    """Has large blocks given back to the system as soon as they are freed, in this process from now on.

    glibc raises the size from which it does so with each large block that is freed, up to 32 MB, unless it is set
    (mallopt(3), M_MMAP_THRESHOLD). Then it keeps the room of answers that were read, for each thread apart. Another C
    library is left as it is.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, FROM)

"""An answer's room is the system's again once it was read."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

# How many blocks the system gave for one of a megabyte, after one of eight was freed (mallinfo2(3): hblks).
COUNT = """
import ctypes, sys
{before}
fields = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
class Told(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in fields]
ask = ctypes.CDLL(None).mallinfo2
ask.restype = Told
large = bytearray(8 * 2**20)
del large
before = ask().hblks
answer = bytearray(2**20)
print(ask().hblks - before)
"""
TRANSPORT = "from gazelle_sync.gazelle.transport import Transport; Transport('http://127.0.0.1:9')"


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="a C library that tells nothing, or an old one")
@pytest.mark.parametrize(("before", "given"), [("", 0), (TRANSPORT, 1)], ids=["as ever", "with a transport"])
def test_an_answer_has_a_block_of_its_own_that_goes_with_it(before: str, given: int) -> None:
    program = COUNT.format(before=before)
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(told) == given

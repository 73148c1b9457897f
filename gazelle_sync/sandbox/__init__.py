"""A stand-in for the Gazelle API on this machine, for development and tests: `Sandbox`, its `Account`, its `Fault`s.

It shares no code with the rest of `gazelle_sync`, so that it cannot share its mistakes, and must not: what is
imported here is the standard library, graphql-core, starlette and uvicorn.
"""

from gazelle_sync.sandbox.account import Account
from gazelle_sync.sandbox.faults import Fault
from gazelle_sync.sandbox.server import Sandbox

__all__ = ["Account", "Fault", "Sandbox"]

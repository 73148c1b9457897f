"""The conditions under which a GraphQL request is answered: what the schema lacks, who asks, what is too much.

They are set by faults (`faults.py`) and met in `graphql_api.py`, `view.py` and `resolvers.py`. What happens to an
HTTP request or to a finished answer must stay out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Conditions:
    """As Gazelle is known, where nothing is said. Limits are the greatest that is served."""

    missing: frozenset[str] = frozenset()
    """Parts of the schema that are not there, as `schema.schema` names them."""
    has_introspection: bool = True
    french: bool = False
    """Whether messages of errors are in French."""
    page_cap: int | None = None
    """A greater `first` is cut to this without a word."""
    max_first: int | None = None
    """A greater `first` is refused."""
    max_complexity: int | None = None
    max_depth: int | None = None
    max_nodes: int | None = None
    """How many nodes the `first` of the nested lists, multiplied, may ask for."""
    technician_id: str | None = None
    """Whose key it is, if it is one that sees less than an administrator's."""
    has_canceled_events: bool = True
    """Whether lists have cancelled events in them; each is there by its id."""
    forbidden: frozenset[str] = frozenset()
    """Fields of the query that the key has no rights for."""
    company: Mapping[str, Any] = field(default_factory=dict)
    """What the company answers in place of the account's own."""
    failing_ids: frozenset[str] = frozenset()
    """Asking for one of these by its id is an error."""
    exchanged_ids: Mapping[str, str] = field(default_factory=dict)
    """Asking for the one by its id gives the other."""
    again: Callable[[Any, int], Any] | None = None
    """If lists never end: what a row is on the n-th round (0: as it is)."""
    knows_cursors: bool = True
    """Whether a cursor of an earlier answer is still worth anything."""

    @property
    def has_limits(self) -> bool:
        """Whether a query may be too much."""
        limits = (self.max_first, self.max_complexity, self.max_depth, self.max_nodes)
        return any(limit is not None for limit in limits)

    def cap(self, usual: int) -> int:
        """The greatest page that is served, where it is usually this."""
        return usual if self.page_cap is None else min(usual, self.page_cap)

    def words(self, english: str, french: str) -> str:
        """The message, in the account's language."""
        return french if self.french else english


USUAL = Conditions()

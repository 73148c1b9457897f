"""The many guises of a rate limit: a status, a header, a GraphQL error with or without a code. All mean: wait.

Keep out: waiting (`transport`).
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from datetime import timezone
from typing import Any

TOO_MANY = 429

# What is left of an allowance, and when there is more: under the names that are in use, with X- and without.
REMAINING = ("ratelimit-remaining", "rate-limit-remaining")
RESET = ("ratelimit-reset", "rate-limit-reset", "ratelimit-reset-after", "rate-limit-reset-after")
# All in one header, as two drafts of the IETF have it: `limit=100, remaining=0, reset=30` and `"default";r=0;t=30`.
EXHAUSTED = re.compile(r"\b(?:remaining|r)\s*=\s*0\b")
RESET_IN = re.compile(r"\b(?:reset|t)\s*=\s*(\d+)")
# A code is a word of the API's; a message is in the account's language, and a last resort.
CODES = re.compile(r"THROTTL|RATE_?LIMIT|TOO_?MANY_?REQUESTS|^429$", re.IGNORECASE)
WORDS = re.compile(r"throttl|rate.?limit|too many requests|trop de requ[êe]tes|limite de (d[ée]bit|requ[êe]tes)", re.I)
# A reset is a time since 1970, or so many seconds from now.
EPOCH = 1_000_000_000


def is_limited(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a refusal is one for the time being: 429, or any with a header that says until when."""
    return status == TOO_MANY or (status >= 400 and ("Retry-After" in headers or is_exhausted(headers)))


def is_exhausted(headers: Mapping[str, str]) -> bool:
    """Whether the headers say that nothing is left of the allowance."""
    named = bare(headers)
    return any(named.get(name, "").strip() == "0" for name in REMAINING) or bool(
        EXHAUSTED.search(named.get("ratelimit", ""))
    )


def announced_wait(headers: Mapping[str, str]) -> float | None:
    """How many seconds the server asks to be left alone, by its headers; None when it does not say."""
    after = retry_after(headers.get("Retry-After", ""))
    if after is not None or not is_exhausted(headers):
        return after
    named = bare(headers)
    found = RESET_IN.search(named.get("ratelimit", ""))
    said = found[1] if found else next((named[name] for name in RESET if name in named), "")
    return seconds_from_now(said)


def is_limit_error(error: Mapping[str, Any]) -> bool:
    """Whether a GraphQL error is a rate limit's: by its code or type, else by its words."""
    extensions = error.get("extensions")
    coded = [error.get("type"), extensions.get("code") if isinstance(extensions, dict) else None]
    return any(CODES.search(str(code)) for code in coded if code) or bool(WORDS.search(str(error.get("message"))))


def wait_in_error(error: Mapping[str, Any]) -> float | None:
    """How many seconds a GraphQL error asks to wait, in its `extensions`; None when it does not say."""
    extensions = error.get("extensions")
    given = extensions if isinstance(extensions, dict) else {}
    named = {str(name).lower().replace("_", ""): value for name, value in given.items()}
    return seconds_from_now(str(named.get("retryafter", named.get("retryafterseconds", ""))))


def retry_after(value: str) -> float | None:
    """A `Retry-After` in seconds from now, given as seconds or as an HTTP date (RFC 9110)."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    at = http_date(value)
    return None if at is None else max(at - time.time(), 0.0)


def http_date(value: str) -> float | None:
    """Seconds since 1970; None for what is no date."""
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    # An HTTP date is in UTC, also where it does not say so; Python would take it for this machine's zone.
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def seconds_from_now(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    seconds = seconds - time.time() if seconds > EPOCH else seconds
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def bare(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by their names in lower case, without X-."""
    return {name.lower().removeprefix("x-"): value for name, value in headers.items()}

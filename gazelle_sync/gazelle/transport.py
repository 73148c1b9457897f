"""The one place that sends: pooled connections, timeouts, pace, retries.

Keep out: GraphQL (`client`), tokens (`auth`), what is asked (`query`).
"""

from __future__ import annotations

import email.utils
import itertools
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timezone
from typing import Any, Protocol, TypeVar

import requests

from gazelle_sync.gazelle.errors import NotAuthorized, Refused, Retryable, Unanswered, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Credentials(Protocol):
    """What makes a request ours."""

    def headers(self) -> Mapping[str, str]:
        """The headers that authorize a request now."""

    def renew(self, refused: Mapping[str, str]) -> bool:
        """After a 401 for these headers: whether other ones are worth a try."""


class Pace:
    """At most so many requests a second, over all threads; slower after a 429, and slowly back again."""

    def __init__(self, per_second: float) -> None:
        self._shortest = self._interval = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._interval
        if at > now:
            # To sleep for no time at all would hand the interpreter to the thread that converts.
            time.sleep(at - now)

    def slow_down(self) -> None:
        with self._lock:
            self._interval = min(self._interval * 2, 5.0)

    def speed_up(self) -> None:
        with self._lock:
            self._interval = max(self._interval * 0.95, self._shortest)


class Transport:
    """POSTs to Gazelle until there is an answer, or no more hope of one.

    `patience` is how many seconds one request may fail, all its attempts and waits included, before
    `Unavailable` is raised. `requests_per_second` bounds what is sent. Timeouts are in seconds.
    """

    def __init__(
        self,
        base_url: str,
        *,
        requests_per_second: float = 5.0,
        patience: float = 120.0,
        connect_timeout: float = 5.0,
        read_timeout: float = 60.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.requests = 0
        self.retries = 0
        # How many seconds Gazelle's clock is ahead of this machine's, by its last answer.
        self.clock_ahead: float | None = None
        self._patience = patience
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._pace = Pace(requests_per_second)
        self._counting = threading.Lock()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "gazelle-sync"
        self._blank: dict[str, requests.PreparedRequest] = {}

    def close(self) -> None:
        self._session.close()

    def post(
        self,
        path: str,
        what: str,
        read: Callable[[Any], T],
        *,
        credentials: Credentials | None = None,
        json: object = None,
        form: Mapping[str, str] | None = None,
    ) -> T:
        """What `read` makes of the JSON answer; `what` names the request in errors and logs.

        Raises `Unavailable`, `NotAuthorized` (401 that new headers do not cure), `Refused` (any other
        4xx), and whatever `read` raises; a `Retryable` from `read` is tried again like a failed request.
        """
        deadline = time.monotonic() + self._patience
        renewed = False
        stumbles = 0
        for attempt in itertools.count(1):
            headers = credentials.headers() if credentials else {}
            try:
                response = self._send(path, what, headers, json, form, deadline)
                if response.status_code == requests.codes.unauthorized:
                    if credentials and not renewed and credentials.renew(headers):
                        renewed = True
                        continue
                    raise NotAuthorized(
                        f"Gazelle refused the credentials for {what} (HTTP 401). Check GAZELLE_API_KEY, "
                        "or run `gazelle-sync login`."
                    )
                answer = read(self._json(response, what))
            except Retryable as failure:
                stumbles += failure.tries is not None
                self._wait_before_retry(failure, attempt, stumbles, deadline, what)
            else:
                self._pace.speed_up()
                return answer
        raise AssertionError("unreachable")

    def _send(
        self,
        path: str,
        what: str,
        headers: Mapping[str, str],
        json: object,
        form: Mapping[str, str] | None,
        deadline: float,
    ) -> requests.Response:
        self._pace.wait()
        with self._counting:
            self.requests += 1
        left = max(deadline - time.monotonic(), 0.1)
        try:
            response = self._session.send(
                self._prepared(path, headers, json, form),
                timeout=(min(self._connect_timeout, left), min(self._read_timeout, left)),
                # A redirect would turn the POST into a GET, and could carry the token elsewhere.
                allow_redirects=False,
            )
        # Only the kind of an error is passed on: its text can hold a key, or a URL with credentials.
        except ValueError as error:
            raise Refused(
                f"A request for {what} can't be sent ({type(error).__name__}). Check GAZELLE_BASE_URL, and that no "
                "blank, line end or foreign character slipped into GAZELLE_API_KEY or the token."
            ) from None
        except requests.RequestException as error:
            raise Retryable(f"no answer ({type(error).__name__})") from None
        at = http_date(response.headers.get("Date", ""))
        self.clock_ahead = None if at is None else at - time.time()
        return response

    def _prepared(
        self, path: str, headers: Mapping[str, str], json: object, form: Mapping[str, str] | None
    ) -> requests.PreparedRequest:
        """The path's first request with other headers and another body: to prepare an address costs a third of sending.

        Raises `ValueError`.
        """
        if path not in self._blank:
            self._look_around()
            self._blank[path] = self._session.prepare_request(requests.Request("POST", self.base_url + path))
        request = self._blank[path].copy()
        request.prepare_headers({**request.headers, **headers})
        request.prepare_cookies(self._session.cookies)
        request.prepare_body(form, None, json)
        return request

    def _look_around(self) -> None:
        """Takes proxies and certificates from the environment: once, as `requests` would do it for every request.

        And no ~/.netrc, whose entry for the host would take the place of our headers.
        """
        if self._session.trust_env:
            found = self._session.merge_environment_settings(self.base_url, {}, None, None, None)
            self._session.proxies, self._session.verify = found["proxies"], found["verify"]
            self._session.trust_env = False

    def _json(self, response: requests.Response, what: str) -> object:
        status = response.status_code
        if status == requests.codes.too_many:
            self._pace.slow_down()
            raise Retryable("HTTP 429, too many requests", retry_after=retry_after(response))
        if status >= 500 or status == requests.codes.request_timeout:
            raise Retryable(f"HTTP {status}", retry_after=retry_after(response))
        if status != requests.codes.ok:
            raise Refused(
                f"Gazelle answered HTTP {status} to {what}: {shown(response)}. "
                "Check GAZELLE_BASE_URL, and that the account may use the API."
            )
        try:
            # Always UTF-8, as JSON is: `response.json()` believes the header, and garbles names or blanks them out.
            return json.loads(response.content)
        # ValueError is also what Python raises for a number of more digits than it cares to read.
        except (ValueError, RecursionError):
            raise Retryable(f"HTTP 200 with a body that is not JSON: {shown(response)}") from None

    def _wait_before_retry(self, failure: Retryable, attempt: int, stumbles: int, deadline: float, what: str) -> None:
        # Jitter on an exponential wait, so that several clients do not come back in step. Who is told to come
        # back at once (or by a clock that is behind) waits as well: a server in trouble is not hammered.
        wait = random.uniform(0.5, 1.0) * min(0.5 * 2 ** min(attempt - 1, 5), 15.0)  # noqa: S311
        wait = max(wait, failure.retry_after or 0.0)
        if time.monotonic() + wait > deadline or (failure.tries and stumbles >= failure.tries):
            message = (
                f"Gazelle could not answer {what} in {attempt} attempts; the last one: {failure}. "
                "Nothing was changed for this table. Run the sync again when Gazelle is well."
            )
            raise (Unavailable(message) if failure.places is None else Unanswered(message, failure.places)) from None
        logger.warning("%s: %s; attempt %d follows in %.1f s", what, failure, attempt + 1, wait)
        with self._counting:
            self.retries += 1
        time.sleep(wait)


def retry_after(response: requests.Response) -> float | None:
    """The `Retry-After` header in seconds from now, given as seconds or as an HTTP date (RFC 9110)."""
    value = response.headers.get("Retry-After", "").strip()
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


def shown(response: requests.Response) -> str:
    """The beginning of a body, on one line, for an error message.

    Without what was sent to be let in, which some servers echo; and nothing of what the token endpoint
    says, as a part of a token may be in it.
    """
    sent = response.request.headers
    if sent.get("Content-Type") == "application/x-www-form-urlencoded":
        return "a body that may hold a token"
    text = " ".join(response.content[:2000].decode(errors="replace").split())
    for name in ("Authorization", "x-gazelle-api-key"):
        for secret in sent.get(name, "").split():
            text = text.replace(secret, "…")
    return repr(text[:120] + ("…" if len(text) > 120 else ""))

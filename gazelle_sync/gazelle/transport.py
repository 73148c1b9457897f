"""The one place that sends: pooled connections, timeouts, pace, retries.

Keep out: GraphQL (`client`), tokens (`auth`), what is asked (`query`).
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

import requests
import urllib3

from gazelle_sync.deadline import DeadlineAdapter
from gazelle_sync.gazelle.allocation import give_back_at_once
from gazelle_sync.gazelle.errors import NotAuthorized, Refused, Retryable, TooMuch, Unanswered, Unavailable
from gazelle_sync.gazelle.rate_limit import announced_wait, http_date, is_limited
from gazelle_sync.gazelle.route import Route
from gazelle_sync.redaction import one_line
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Bytes of an answer, unpacked. A page of a thousand records has about five million.
LARGEST_ANSWER = 64 * 2**20
# Seconds. Nobody's limit is of seconds only, so that who is limited waits longer than who meets a fault.
LONGEST_WAIT = 15.0
LONGEST_WAIT_OF_LIMIT = 60.0


class Credentials(Protocol):
    """What makes a request ours."""

    def headers(self) -> Mapping[str, str]:
        """The headers that authorize a request now."""

    def renew(self, refused: Mapping[str, str]) -> bool:
        """After a 401 for these headers: whether other ones are worth a try."""


class Pace:
    """At most so many requests a second, over all threads; slower after a rate limit, and slowly back again."""

    def __init__(self, per_second: float) -> None:
        self._shortest = self._interval = 1 / per_second
        self._next = 0.0
        self._slowed = 0.0
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Until the next request may be sent; how many seconds that was."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._interval
        if at > now:
            # To sleep for no time at all would hand the interpreter to the thread that converts.
            time.sleep(at - now)
        return at - now

    def slow_down(self, pause: float, sent: float) -> None:
        """Half as fast from now on, and nothing for `pause` seconds, whichever thread it was that was told.

        `sent` is when the request was sent: what several are told that were under way at once is one refusal.
        """
        with self._lock:
            now = time.monotonic()
            if sent >= self._slowed:
                self._interval = min(self._interval * 2, 5.0)
                self._slowed = now
            self._next = max(self._next, now + pause)

    def speed_up(self) -> None:
        with self._lock:
            self._interval = max(self._interval * 0.95, self._shortest)


class Budget:
    """How many seconds a run may wait for Gazelle in all. What several threads wait at once counts once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._spent = 0.0
        self._counted_until = 0.0
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        return self.seconds - self._spent

    def spend(self, since: float, until: float) -> None:
        with self._lock:
            self._spent += max(until - max(since, self._counted_until), 0.0)
            self._counted_until = max(until, self._counted_until)


class Transport:
    """POSTs to Gazelle until there is an answer, or no more hope of one.

    `patience` is how many seconds one request may fail, all its attempts and waits included, before `Unavailable` is
    raised; a wait for a rate limit does not count. `budget` is how many seconds all requests together may fail or wait,
    for whatever reason. `requests_per_second` bounds what is sent, by however many threads; `concurrent` is how many
    requests may be under way at once. `read_timeout` is for a whole answer, in seconds as `connect_timeout` is.
    `observe` is told of each answer, in the thread that asked.
    """

    def __init__(
        self,
        base_url: str,
        *,
        requests_per_second: float = 5.0,
        concurrent: int = 1,
        patience: float = 120.0,
        budget: float = 900.0,
        connect_timeout: float = 5.0,
        read_timeout: float = 60.0,
        observe: Callable[[Exchange], None] | None = None,
    ) -> None:
        give_back_at_once()
        self.base_url = base_url.rstrip("/")
        self.concurrent = concurrent
        self.requests = 0
        self.retries = 0
        # How many seconds Gazelle's clock is ahead of this machine's, by its last answer.
        self.clock_ahead: float | None = None
        self._patience = patience
        self._budget = Budget(budget)
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._observe = observe
        self._pace = Pace(requests_per_second)
        self._counting = threading.Lock()
        # One for each request under way, as none may be used by two threads at once; the last one used comes first.
        self._session = Session()
        self._sessions = [self._session]
        self._idle = [self._session]
        self._borrowing = threading.Lock()
        # Whoever reads several lists at once may need another one for each record of theirs.
        self._under_way = threading.BoundedSemaphore(concurrent)
        self._route: Route | None = None
        self._blank: dict[str, requests.PreparedRequest] = {}

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def post(
        self,
        path: str,
        what: str,
        read: Callable[[Any, Mapping[str, str]], T],
        *,
        credentials: Credentials | None = None,
        compose: Callable[[], object] | None = None,
        form: Mapping[str, str] | None = None,
        ask_for_less: Callable[[bool], bool] = lambda _: False,
        keep: Callable[[bytes], object] | None = None,
    ) -> T:
        """What `read` makes of the JSON answer and its headers; `what` names the request in errors and logs.

        `compose` makes the JSON that is sent, anew for each attempt. `ask_for_less` makes it ask for less from now on,
        and says whether it could; it is told whether that is surely what helps. `keep` is given the answer that did.

        Raises `Unavailable`, `NotAuthorized` (401 that new headers do not cure), `Refused` (any other
        4xx), and whatever `read` raises; a `Retryable` from `read` is tried again like a failed request.
        """
        trial = Trial(what, self._patience, self._budget)
        renewed = False
        while True:
            # What another request is told to wait is not this one's failure.
            trial.put_off(self._pace.wait())
            headers = credentials.headers() if credentials else {}
            trial.begin()
            try:
                answer = self._send(path, what, headers, compose() if compose else None, form, trial.left)
                if answer.status == requests.codes.unauthorized:
                    if credentials and not renewed and credentials.renew(headers):
                        renewed = True
                        continue
                    raise NotAuthorized(say("credentials_refused", what=what))
                found = read(self._json(answer, what), answer.headers)
            except TooMuch as refusal:
                # No wait helps.
                if not ask_for_less(refusal.certain):
                    raise
            except Retryable as failure:
                wait = trial.next_wait(failure)
                if trial.is_strained(failure):
                    ask_for_less(False)
                if failure.rate_limit:
                    self._pace.slow_down(wait, trial.began)
                logger.warning(
                    "%s",
                    say("request_tried_again", what=what, why=failure, attempt=trial.attempts + 1, wait=wait),
                    extra={"wait": wait, "why": str(failure)},  # for who shows it while it lasts
                )
                time.sleep(wait)
            else:
                self._pace.speed_up()
                if keep:
                    keep(answer.body)
                return found
            with self._counting:
                self.retries += 1

    def _send(
        self,
        path: str,
        what: str,
        headers: Mapping[str, str],
        json: object,
        form: Mapping[str, str] | None,
        left: float,
    ) -> Answer:
        """The whole answer, or `Retryable`. Only the kind of an error is passed on: its text can hold a key."""
        with self._counting:
            self.requests += 1
        try:
            request = self._prepared(path, headers, json, form)
        except ValueError as error:
            raise Refused(say("request_is_unsendable", what=what, why=type(error).__name__)) from None
        assert self._route is not None
        began = time.monotonic()
        try:
            with (
                self._under_way,
                self._borrowed() as session,
                session.send(
                    request,
                    timeout=(min(self._connect_timeout, left), min(self._read_timeout, left)),
                    # A redirect would turn the POST into a GET, and could carry the token elsewhere.
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                at = http_date(response.headers.get("Date", ""))
                self.clock_ahead = None if at is None else at - time.time()
                body = read_body(response, what)
                if self._observe:
                    self._observe(Exchange(what, response.status_code, time.monotonic() - began, response.headers))
                return Answer(response.status_code, response.headers, body, may_hold_token=form is not None)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise Refused(say("request_is_unsendable", what=what, why=type(error).__name__)) from None
        # A malformed answer raises many things; OSError is the parent of all that `requests` names.
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            if refusal := self._route.explain(error):
                raise refusal from None
            raise self._failure(error) from None

    @contextmanager
    def _borrowed(self) -> Iterator[Session]:
        """A session that nobody else uses meanwhile."""
        with self._borrowing:
            session = self._idle.pop() if self._idle else None
            if session is None:
                session = Session()
                session.take_after(self._session)
                self._sessions.append(session)
        try:
            yield session
        finally:
            with self._borrowing:
                self._idle.append(session)

    def _failure(self, error: Exception) -> Retryable:
        assert self._route is not None
        kind = type(error).__name__
        late = isinstance(error, (requests.Timeout, TimeoutError)) or isinstance(
            next(iter(error.args), None), urllib3.exceptions.ReadTimeoutError
        )
        if late and not isinstance(error, requests.ConnectTimeout):
            return Retryable(say("no_answer_in_time", why=kind), strain=1.0)
        if isinstance(error, requests.ConnectionError):
            if variable := self._route.proxy_variable:
                return Retryable(say("no_answer_of_proxy", variable=variable))
            return Retryable(say("request_unanswered", why=kind))
        return Retryable(say("malformed_answer", why=kind))

    def _prepared(
        self, path: str, headers: Mapping[str, str], json: object, form: Mapping[str, str] | None
    ) -> requests.PreparedRequest:
        """The path's first request with other headers and another body: to prepare an address costs a third of sending.

        Raises `ValueError`, and `Refused` where the environment is wrong.
        """
        with self._borrowing:
            if path not in self._blank:
                self._route = self._route or Route(self._session, self.base_url)
                self._blank[path] = self._session.prepare_request(requests.Request("POST", self.base_url + path))
            request = self._blank[path].copy()
        request.prepare_headers({**request.headers, **headers})
        for value in headers.values():
            # As the connection will: what it can't encode is a key that was pasted with something else.
            value.encode("latin-1")
        request.prepare_cookies(self._session.cookies)
        request.prepare_body(form, None, json)
        return request

    def _json(self, answer: Answer, what: str) -> object:
        status = answer.status
        if is_limited(status, answer.headers):
            raise Retryable(
                say("rate_limited", status=status), retry_after=announced_wait(answer.headers), rate_limit=True
            )
        if status >= 500 or status == requests.codes.request_timeout:
            raise Retryable(f"HTTP {status}", strain=0.5)
        if status == requests.codes.proxy_authentication_required:
            assert self._route is not None
            raise self._route.refusal_of_proxy(status)
        try:
            # Always UTF-8, as JSON is: a header may say otherwise, and names would be garbled or blanked out.
            found = json.loads(answer.body)
        # ValueError is also what Python raises for a number of more digits than it cares to read.
        except (ValueError, RecursionError):
            if status == requests.codes.ok:
                raise Retryable(say("not_json", text=answer.shown())) from None
            found = None
        # GraphQL over HTTP may refuse a query with a 4xx, and say why as it always does.
        if status == requests.codes.ok or (isinstance(found, dict) and isinstance(found.get("errors"), list)):
            return found
        refusal = TooMuch if status == requests.codes.request_entity_too_large else Refused
        raise refusal(say("http_refused", status=status, what=what, text=answer.shown()))


class Session(requests.Session):
    """A session that does not look where a redirect leads: it is not followed, and its address may be malformed."""

    def __init__(self) -> None:
        super().__init__()
        self.headers["User-Agent"] = "gazelle-sync"
        self.mount("https://", DeadlineAdapter())
        self.mount("http://", DeadlineAdapter())

    def take_after(self, other: Session) -> None:
        """The same way to the server, and the same cookies."""
        self.proxies, self.verify, self.trust_env = other.proxies, other.verify, other.trust_env
        self.cookies = other.cookies

    def resolve_redirects(self, *_: Any, **__: Any) -> Any:
        return iter(())


class Trial:
    """One request's attempts: how long it may still fail, and how long to wait before the next."""

    def __init__(self, what: str, patience: float, budget: Budget) -> None:
        self.attempts = 0
        self._what = what
        self._budget = budget
        self._deadline = time.monotonic() + patience
        self.began = 0.0
        self._stumbles = 0
        self._strain = 0.0

    def begin(self) -> None:
        self.attempts += 1
        self.began = time.monotonic()

    def put_off(self, seconds: float) -> None:
        """The request could not be sent for so long, for no reason of its own."""
        self._deadline += seconds

    @property
    def left(self) -> float:
        """How many seconds an answer may take."""
        return max(min(self._deadline - time.monotonic(), self._budget.left), 0.1)

    def is_strained(self, failure: Retryable) -> bool:
        """Whether less should be asked for: after one answer that took too long, or two server errors."""
        self._strain = self._strain + failure.strain if failure.strain else 0.0
        if self._strain < 1:
            return False
        self._strain = 0.0
        return True

    def next_wait(self, failure: Retryable) -> float:
        """In seconds. Raises `Unavailable` when it would be longer than patience, or than the run's budget."""
        now = time.monotonic()
        self._budget.spend(self.began, now)
        self._stumbles += failure.tries is not None
        longest = LONGEST_WAIT_OF_LIMIT if failure.rate_limit else LONGEST_WAIT
        # Jitter on an exponential wait, so that several clients do not come back in step. Who is told to come
        # back at once (or by a clock that is behind) waits as well: a server in trouble is not hammered.
        pause: float = random.uniform(0.5, 1.0) * min(0.5 * 2 ** min(self.attempts - 1, 10), longest)  # noqa: S311
        wait = max(pause, failure.retry_after or 0.0)
        told = {"what": self._what, "attempts": self.attempts, "why": failure}
        if failure.tries and self._stumbles >= failure.tries:
            message = say("unavailable", **told)
            raise (Unavailable(message) if failure.places is None else Unanswered(message, failure.places)) from None
        if failure.rate_limit:
            # The server is well: it is not its patience that counts.
            self._deadline += wait + now - self.began
        elif now + wait > self._deadline:
            raise Unavailable(say("unavailable", **told)) from None
        if wait > self._budget.left:
            raise Unavailable(
                say(
                    "budget_spent",
                    **told,
                    wait=duration(wait),
                    budget=duration(self._budget.seconds),
                    left=duration(max(self._budget.left, 0.0)),
                )
            ) from None
        self._budget.spend(now, now + wait)
        return wait


class Exchange(NamedTuple):
    """What an answer is, beside what it says; `seconds` are from the sending to its last byte."""

    what: str
    status: int
    seconds: float
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    may_hold_token: bool

    def shown(self) -> str:
        """The beginning of the body; nothing of what the token endpoint says, as a part of a token may be in it."""
        if self.may_hold_token:
            return say("a_body_with_a_token")
        return repr(one_line(self.body[:2000].decode(errors="replace"), (), 120))


def read_body(response: requests.Response, what: str) -> bytes:
    """Raises `TooMuch` as soon as there is more of it, unpacked, than any page has."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(2**16):
        size += len(part)
        if size > LARGEST_ANSWER:
            raise TooMuch(say("answer_is_too_large", what=what, most=LARGEST_ANSWER // 2**20))
        parts.append(part)
    return b"".join(parts)


def duration(seconds: float) -> str:
    """As people say it, in units that every language has: 90 s, 15 min, 2 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

"""The sandbox over HTTP: the GraphQL endpoint, OAuth, and a small control surface for other processes.

Who may ask, what goes wrong on the way, and what was asked. The data is in `account/`, the meaning of a query
in `graphql_api.py`, what a fault is in `faults.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from ipaddress import ip_address
from threading import Thread
from time import monotonic, sleep
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gazelle_sync.sandbox.account import ID_PREFIXES, Account
from gazelle_sync.sandbox.bodies import response as response_of
from gazelle_sync.sandbox.faults import GRAPHQL_PATH, KINDS, Fault, Faults, conditions_of
from gazelle_sync.sandbox.graphql_api import GraphQLApi, page_asked_for
from gazelle_sync.sandbox.oauth import Refused, TokenIssuer
from gazelle_sync.sandbox.schema import schema
from gazelle_sync.sandbox.spoiling import spoil

AUTHORIZE_PATH = "/developer/oauth/authorize"
TOKEN_PATH = "/developer/oauth/token"  # noqa: S105 -- an address, not a secret
_REQUESTS_KEPT = 100_000
# What other processes may set, besides faults.
_OPTIONS = ["latency", "latency_per_record", "page_cap", "opaque_cursors", "usual_filters"]


@dataclass(frozen=True)
class Request:
    """One request as the sandbox met it, with the HTTP status it was answered with.

    `query` is the GraphQL text ("" for OAuth) and `variables` its variables (for OAuth: what was sent).
    """

    path: str
    query: str
    variables: dict[str, Any]
    headers: dict[str, str]
    status: int


class Sandbox:
    """A stand-in for Gazelle on this machine: its API at `url` + "/graphql/private/", its OAuth at
    `url` + "/developer/oauth/authorize" and ".../token".

    A context manager (or `start`/`stop`) that serves from a background thread; `serve_forever` serves in the
    foreground. `account`, `latency` (seconds a request), `latency_per_record` (seconds a record, on every level),
    `page_cap`, `usual_filters`, `opaque_cursors`, `access_token_lifetime`, `rotate_refresh_tokens` and
    `omit_refresh_token_in_reply` may be changed while it runs. It takes `api_key`, and the tokens of its OAuth app
    (`client_id`, `client_secret`); everybody is authorized at once.
    """

    api_key = "sandbox-api-key"
    client_id = "sandbox-client-id"
    client_secret = "sandbox-client-secret"  # noqa: S105 -- it opens nothing but the sandbox

    def __init__(
        self,
        account: Account,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        page_cap: int = 100,
        opaque_cursors: bool = False,
        latency: float = 0.0,
        latency_per_record: float = 0.0,
        access_token_lifetime: float = 2_592_000,
        rotate_refresh_tokens: bool = True,
        omit_refresh_token_in_reply: bool = False,
    ) -> None:
        if host != "localhost" and not ip_address(host).is_loopback:
            raise ValueError(f"The sandbox is open to whoever can reach it: it serves on loopback, not on {host}")
        self.host = host
        self.port = port
        self.latency = latency
        self.latency_per_record = latency_per_record
        self.faults = Faults()
        self.tokens = TokenIssuer(
            self.client_id,
            self.client_secret,
            access_token_lifetime,
            rotate_refresh_tokens,
            omit_refresh_token_in_reply,
        )
        self._api = GraphQLApi(account, page_cap=page_cap, opaque_cursors=opaque_cursors)
        self._requests: deque[Request] = deque(maxlen=_REQUESTS_KEPT)
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None

    @property
    def account(self) -> Account:
        """What it serves; edits show in the next request."""
        return self._api.account

    @account.setter
    def account(self, value: Account) -> None:
        self._api.account = value

    @property
    def page_cap(self) -> int:
        """The greatest page it gives, and its size where none is asked for."""
        return self._api.page_cap

    @page_cap.setter
    def page_cap(self, value: int) -> None:
        self._api.page_cap = value

    @property
    def opaque_cursors(self) -> bool:
        """Whether cursors are random tokens instead of offsets in base64."""
        return self._api.opaque_cursors

    @opaque_cursors.setter
    def opaque_cursors(self, value: bool) -> None:
        self._api.opaque_cursors = value

    @property
    def usual_filters(self) -> dict[str, dict[str, Any]]:
        """The filters that a list of a kind has unasked, as `{"invoices": {"archived": False}}`; see `GraphQLApi`."""
        return self._api.usual_filters

    @usual_filters.setter
    def usual_filters(self, value: dict[str, dict[str, Any]]) -> None:
        self._api.usual_filters = value

    @property
    def access_token_lifetime(self) -> float:
        """Seconds; for the tokens issued from now on."""
        return self.tokens.access_token_lifetime

    @access_token_lifetime.setter
    def access_token_lifetime(self, value: float) -> None:
        self.tokens.access_token_lifetime = value

    @property
    def rotate_refresh_tokens(self) -> bool:
        """Whether a refresh token is dead once it was used."""
        return self.tokens.rotate_refresh_tokens

    @rotate_refresh_tokens.setter
    def rotate_refresh_tokens(self, value: bool) -> None:
        self.tokens.rotate_refresh_tokens = value

    @property
    def omit_refresh_token_in_reply(self) -> bool:
        """Whether a refresh is answered without a refresh token (the old one lives on)."""
        return self.tokens.omit_refresh_token_in_reply

    @omit_refresh_token_in_reply.setter
    def omit_refresh_token_in_reply(self, value: bool) -> None:
        self.tokens.omit_refresh_token_in_reply = value

    # -- its life ----------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Its base URL, without a slash at the end. The port is taken when this is first read."""
        self._listen()
        return f"http://{self.host}:{self.port}"

    def start(self) -> Sandbox:
        """Serves from a background thread; returns once it answers. After a `stop`, on the same port again."""
        server = self._make_server()
        self._thread = Thread(target=server.run, args=([self._listen()],), name="sandbox", daemon=True)
        self._thread.start()
        deadline = monotonic() + 10
        while not server.started:
            if not self._thread.is_alive() or monotonic() > deadline:
                raise RuntimeError(f"The sandbox did not start on {self.host}:{self.port}")
            sleep(0.005)
        # It takes 70 ms to make, and whoever starts a sandbox has other things to wait for before the first request.
        Thread(target=schema, name="sandbox schema", daemon=True).start()
        return self

    def stop(self) -> None:
        """Ends it; requests under way have a second to finish."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None

    def serve_forever(self) -> None:
        """Serves in the foreground until Ctrl-C (or SIGTERM)."""
        with contextlib.suppress(KeyboardInterrupt):
            self._make_server().run([self._listen()])
        self.stop()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _listen(self) -> socket.socket:
        if self._socket is None:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            # asyncio turns Nagle's algorithm off (40 ms an answer) only on sockets that say they are TCP.
            self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            # A port just left by a stopped sandbox can be taken again at once.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((self.host, self.port))
            self.port = self._socket.getsockname()[1]
        return self._socket

    def _make_server(self) -> uvicorn.Server:
        # h11 is the one HTTP implementation that is always installed: what a dropped connection looks like
        # must not depend on the machine. Idle connections are kept, or a client's next request could meet one
        # that is being closed.
        config = uvicorn.Config(
            self._app(),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level=100,
            access_log=False,
            timeout_keep_alive=300,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        return self._server

    # -- for tests ---------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        """What was asked of the API and of OAuth so far, oldest first (the last 100,000)."""
        return list(self._requests)

    def authorize(self) -> dict[str, Any]:
        """A valid token reply, as after a person's consent: access_token, refresh_token, expires_in…"""
        return self.tokens.pair()

    def expire_tokens(self) -> None:
        """Every access token is out of date; refresh tokens live on."""
        self.tokens.expire_access_tokens()

    def revoke_everything(self) -> None:
        """Nothing issued so far is worth anything: a person has to authorize again."""
        self.tokens.revoke_everything()

    # -- endpoints ---------------------------------------------------------------------------------------------------

    def _app(self) -> Starlette:
        app = Starlette(
            routes=[
                Route(GRAPHQL_PATH, self._graphql, methods=["POST"]),
                Route(AUTHORIZE_PATH, self._authorize, methods=["GET"]),
                Route(TOKEN_PATH, self._token, methods=["POST"]),
                Route("/", self._about, methods=["GET"]),
                Route("/sandbox", self._about, methods=["GET"]),
                Route("/sandbox/requests", self._count_requests, methods=["GET"]),
                Route("/sandbox/faults", self._set_fault, methods=["POST"]),
                Route("/sandbox/faults", self._clear_faults, methods=["DELETE"]),
                Route("/sandbox/options", self._set_options, methods=["PATCH"]),
                Route("/sandbox/company", self._edit_company, methods=["PATCH"]),
                Route("/sandbox/records/{kind}", self._add_record, methods=["POST"]),
                Route("/sandbox/records/{kind}/{id}", self._edit_record, methods=["PATCH", "DELETE"]),
            ]
        )
        # Without its slash the real endpoint does not take the POST: nothing here may forgive that.
        app.router.redirect_slashes = False
        return app

    async def _graphql(self, http: HttpRequest) -> Response:
        try:
            asked = json.loads(await http.body())
            query, variables = str(asked["query"]), dict(asked.get("variables") or {})
        except (ValueError, KeyError, TypeError, AttributeError):
            asked, query, variables = None, "", {}

        def handle(faults: list[Fault]) -> tuple[int, dict[str, Any]]:
            if not self._is_authorized(http):
                return 401, {"error": "Unauthorized"}
            if asked is None:
                return 400, {"error": "The body is not JSON with a `query`"}
            conditions = conditions_of(faults, self.account)
            answer = self._api.execute(query, variables, asked.get("operationName"), conditions)
            for fault in faults:
                answer = spoil(answer, fault, after)
            return 200, answer

        first, after = page_asked_for(query, variables)
        return await self._answer(
            http, query, variables, self.faults.striking(GRAPHQL_PATH, query, after, first), handle
        )

    async def _token(self, http: HttpRequest) -> Response:
        form = {name: values[-1] for name, values in parse_qs((await http.body()).decode(errors="replace")).items()}

        def handle(_: list[Fault]) -> tuple[int, dict[str, Any]]:
            try:
                return 200, self.tokens.exchange(form)
            except Refused as refused:
                return refused.status, {"error": refused.error, "error_description": "Refused by the sandbox"}

        return await self._answer(http, "", form, self.faults.striking(TOKEN_PATH, "", None), handle)

    async def _answer(
        self,
        http: HttpRequest,
        query: str,
        variables: dict[str, Any],
        faults: list[Fault],
        handle: Callable[[list[Fault]], tuple[int, dict[str, Any]]],
    ) -> Response:
        """Lets `handle` answer, with the faults that strike this request around it, and records the request."""
        await asyncio.sleep(self.latency + sum(fault.seconds for fault in faults if fault.kind == "delay"))
        refusal = next((fault for fault in faults if fault.kind == "status"), None)
        if refusal is not None:
            response: Response = PlainTextResponse(refusal.message, refusal.status, headers=refusal.response_headers)
        else:
            self._change_account(faults, "before")
            status, answer = handle(faults)
            if self.latency_per_record:
                await asyncio.sleep(self.latency_per_record * _count_records(answer))
            response = response_of(status, answer, faults)
            self._change_account(faults, "after")
        self._requests.append(Request(http.url.path, query, variables, dict(http.headers), response.status_code))
        return response

    def _change_account(self, faults: list[Fault], when: str) -> None:
        for fault in faults:
            if fault.when == when:
                fault.apply(self.account)

    def _is_authorized(self, http: HttpRequest) -> bool:
        bearer, api_key = http.headers.get("authorization"), http.headers.get("x-gazelle-api-key")
        if (bearer is None) == (api_key is None):
            return False  # neither, or both: Gazelle wants a personal key to come without `Authorization`
        if bearer is None:
            return api_key == self.api_key
        scheme, _, token = bearer.partition(" ")
        return scheme == "Bearer" and self.tokens.accepts(token)

    async def _authorize(self, http: HttpRequest) -> Response:
        asked = http.query_params
        redirect_uri = asked.get("redirect_uri", "")
        if asked.get("client_id") != self.client_id:
            return JSONResponse({"error": "invalid_client"}, 400)
        if asked.get("response_type") != "code" or not redirect_uri.startswith(("http://", "https://")):
            return JSONResponse({"error": "invalid_request"}, 400)
        given = {"code": self.tokens.code(redirect_uri), **({"state": asked["state"]} if "state" in asked else {})}
        self._requests.append(Request(AUTHORIZE_PATH, "", dict(asked), dict(http.headers), 302))
        return RedirectResponse(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(given)}", 302)

    # -- the control surface -----------------------------------------------------------------------------------------

    async def _about(self, http: HttpRequest) -> Response:
        about = {
            "what": "A stand-in for the Gazelle API with an invented account. Nothing here is real.",
            "graphql": f"POST {GRAPHQL_PATH} with the header x-gazelle-api-key: {self.api_key}",
            "oauth": {
                "authorize": AUTHORIZE_PATH,
                "token": TOKEN_PATH,
                "client_id": self.client_id,
                "client_secret": self.client_secret,
            },
            "faults": KINDS,
            "records": {kind: len(self.account.records(kind)) for kind in ID_PREFIXES},
            "requests": len(self._requests),
        }
        return Response(json.dumps(about, indent=2), media_type="application/json")

    async def _count_requests(self, http: HttpRequest) -> Response:
        return JSONResponse({"count": len(self._requests)})

    async def _set_fault(self, http: HttpRequest) -> Response:
        given = await _json_object(http)
        settable = {each.name for each in fields(Fault) if each.init} - {"mutate"}
        if given is None or not given.keys() <= settable:
            return JSONResponse({"error": f"Wanted: a JSON object with {sorted(settable)}"}, 400)
        try:
            self.faults.add(Fault(**given))
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return Response(status_code=204)

    async def _clear_faults(self, http: HttpRequest) -> Response:
        self.faults.clear()
        return Response(status_code=204)

    async def _set_options(self, http: HttpRequest) -> Response:
        given = await _json_object(http)
        if given is None or not given.keys() <= set(_OPTIONS):
            return JSONResponse({"error": f"Wanted: a JSON object with {_OPTIONS}"}, 400)
        for name, value in given.items():
            setattr(self, name, value)
        return JSONResponse({name: getattr(self, name) for name in _OPTIONS})

    async def _edit_company(self, http: HttpRequest) -> Response:
        given = await _json_object(http)
        if given is None:
            return JSONResponse({"error": "Wanted: a JSON object"}, 400)
        self.account.company.update(given)
        return JSONResponse(self.account.company)

    async def _add_record(self, http: HttpRequest) -> Response:
        given = await _json_object(http)
        if http.path_params["kind"] not in ID_PREFIXES:
            return JSONResponse({"error": f"Kinds: {list(ID_PREFIXES)}"}, 404)
        if given is None:
            return JSONResponse({"error": "Wanted: a JSON object"}, 400)
        return JSONResponse(self.account.add(http.path_params["kind"], given), 201)

    async def _edit_record(self, http: HttpRequest) -> Response:
        kind, id_ = http.path_params["kind"], http.path_params["id"]
        records = self.account.records(kind) if kind in ID_PREFIXES else {}
        if id_ not in records:
            return JSONResponse({"error": f"There is no {id_!r} in {kind!r}"}, 404)
        if http.method == "DELETE":
            del records[id_]
            return Response(status_code=204)
        given = await _json_object(http)
        if given is None:
            return JSONResponse({"error": "Wanted: a JSON object"}, 400)
        records[id_].update(given)
        return JSONResponse(records[id_])


def _count_records(value: Any) -> int:
    """How many records an answer brings, on every level: the objects in its lists."""
    if isinstance(value, dict):
        return sum(map(_count_records, value.values()))
    if isinstance(value, list):
        return sum(isinstance(each, dict) + _count_records(each) for each in value)
    return 0


async def _json_object(http: HttpRequest) -> dict[str, Any] | None:
    try:
        given = json.loads(await http.body())
    except ValueError:
        return None
    return given if isinstance(given, dict) else None

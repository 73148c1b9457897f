"""The way to Gazelle as the machine's environment has it, proxies and certificates, and which variable is wrong.

Time mends none of this, so nothing here is tried again. Values are never shown: a proxy's can hold a password.
Keep out: sending (`transport`).
"""

from __future__ import annotations

import importlib.util
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.utils import select_proxy

from gazelle_sync.gazelle.errors import Refused
from gazelle_sync.translations import say

# Where `requests` looks for certificates to trust, in this order.
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Route:
    """Proxies and certificates for one address, as `requests` takes them from the environment.

    Raises `Refused` for a variable that can't work.
    """

    def __init__(self, session: requests.Session, base_url: str) -> None:
        # Once, as `requests` would do it for every request. And no ~/.netrc, whose entry for the host would take the
        # place of our headers.
        found = session.merge_environment_settings(base_url, {}, None, None, None)
        session.proxies, session.verify = found["proxies"], found["verify"]
        session.trust_env = False
        self._address = urlsplit(base_url)
        self._proxy = select_proxy(base_url, session.proxies)
        if self._proxy:
            self._check_proxy(self._proxy)
        if isinstance(session.verify, str) and "https" in (self._address.scheme, urlsplit(self._proxy or "").scheme):
            self._check_bundle(session.verify)

    @property
    def proxy_variable(self) -> str | None:
        """The variable that names the proxy in use; None where there is none."""
        if not self._proxy:
            return None
        names = (f"{self._address.scheme}_proxy", "all_proxy")
        given = [name for name in os.environ if name.lower() in names and os.environ[name] == self._proxy]
        return given[0] if given else names[0].upper()

    def _check_proxy(self, proxy: str) -> None:
        try:
            # A proxy may be written without its scheme; it is one of HTTP then.
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            sound = parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise Refused(say("proxy_is_no_address", variable=self.proxy_variable))
        if parts.scheme.startswith("socks"):
            if importlib.util.find_spec("socks") is None:
                raise Refused(say("proxy_is_socks", variable=self.proxy_variable))
        elif parts.scheme not in ("http", "https"):
            raise Refused(say("proxy_is_no_address", variable=self.proxy_variable))

    @staticmethod
    def _check_bundle(path: str) -> None:
        variable = next((name for name in BUNDLES if os.environ.get(name)), BUNDLES[0])
        if not Path(path).exists():
            raise Refused(say("certificates_missing", variable=variable, path=path))
        try:
            # A folder is looked into when a certificate is looked for.
            ssl.create_default_context(cafile=None if Path(path).is_dir() else path)
        except OSError as error:
            raise Refused(
                say("certificates_unusable", variable=variable, path=path, why=error.strerror or type(error).__name__)
            ) from None

    def explain(self, error: BaseException) -> Refused | None:
        """What is wrong with the way, if time won't mend it; None for a failure that may pass."""
        causes = list(chain(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return Refused(
                    say("gazelle_not_verified", host=self._address.hostname, why=cause.verify_message or "?")
                )
        if self.proxy_variable is None:
            return None
        said = " ".join(map(str, causes))
        if refused := re.search(r"Tunnel connection failed: (4\d\d)", said):
            return self.refusal_of_proxy(int(refused[1]))
        if any(isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER" for cause in causes):
            return Refused(say("proxy_speaks_no_tls", variable=self.proxy_variable))
        return None

    def refusal_of_proxy(self, status: int) -> Refused:
        return Refused(say("proxy_refuses", variable=self.proxy_variable or "HTTPS_PROXY", status=status))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those it was made of: `requests` and `urllib3` put one into the other."""
    waiting: list[BaseException] = [error]
    met: list[int] = []
    while waiting:
        each = waiting.pop()
        if id(each) in met:
            continue
        met.append(id(each))
        yield each
        inner = [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
        waiting += [part for part in inner if isinstance(part, BaseException)]

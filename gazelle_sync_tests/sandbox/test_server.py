"""The server: who is let in, OAuth and its rotating tokens, the control surface, and how it starts and ends."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from gazelle_sync.sandbox import Account, Fault, Sandbox

QUERY = "{ allUsers { id } }"
CALLBACK = "http://127.0.0.1:9/callback?app=1"


def bearer(reply):
    return {"Authorization": f"Bearer {reply['access_token']}"}


# -- who may ask ----------------------------------------------------------------------------------------------------


def test_a_personal_key_or_a_token_lets_in(sandbox, post):
    assert post(QUERY).status_code == 200
    assert post(QUERY, headers=bearer(sandbox.authorize())).status_code == 200


def test_none_or_both_or_wrong_credentials_are_401(sandbox, post):
    key, token = {"x-gazelle-api-key": sandbox.api_key}, bearer(sandbox.authorize())
    wrong: list[dict[str, str]] = [
        {},
        {**key, **token},
        {"x-gazelle-api-key": "nope"},
        {"Authorization": "Bearer nope"},
    ]
    assert [post(QUERY, headers=headers).status_code for headers in wrong] == [401] * 4


def test_an_expired_token_is_401_and_its_refresh_token_still_good(sandbox, post, token):
    reply = sandbox.authorize()
    sandbox.expire_tokens()
    assert post(QUERY, headers=bearer(reply)).status_code == 401
    fresh = token(grant_type="refresh_token", refresh_token=reply["refresh_token"]).json()
    assert post(QUERY, headers=bearer(fresh)).status_code == 200


def test_a_token_lives_as_long_as_it_says(sandbox, post):
    sandbox.access_token_lifetime = 0
    reply = sandbox.authorize()
    assert reply["expires_in"] == 0
    assert post(QUERY, headers=bearer(reply)).status_code == 401


def test_without_its_slash_the_endpoint_takes_nothing(sandbox, session):
    headers = {"x-gazelle-api-key": sandbox.api_key}
    answer = session.post(f"{sandbox.url}/graphql/private", json={"query": QUERY}, headers=headers, timeout=10)
    assert answer.status_code == 404
    assert answer.history == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"variables": {}}', b'"text"'])
def test_a_body_without_a_query_is_400(sandbox, session, body):
    headers = {"x-gazelle-api-key": sandbox.api_key}
    answer = session.post(f"{sandbox.url}/graphql/private/", data=body, headers=headers, timeout=10)
    assert answer.status_code == 400


# -- OAuth ----------------------------------------------------------------------------------------------------------


def authorize(sandbox, session, **changes):
    asked = {"client_id": sandbox.client_id, "response_type": "code", "redirect_uri": CALLBACK, "state": "s t&1"}
    url = f"{sandbox.url}/developer/oauth/authorize"
    return session.get(url, params={**asked, **changes}, allow_redirects=False, timeout=10)


def test_the_whole_way_from_authorization_to_data(sandbox, session, post, token):
    redirect = authorize(sandbox, session)
    given = parse_qs(urlsplit(redirect.headers["Location"]).query)
    assert redirect.status_code == 302
    assert redirect.headers["Location"].startswith(CALLBACK)
    assert (given["state"], given["app"]) == (["s t&1"], ["1"])
    form = {"grant_type": "authorization_code", "code": given["code"][0], "redirect_uri": CALLBACK}
    reply = token(**form).json()
    assert reply.keys() == {"access_token", "refresh_token", "expires_in", "token_type", "created_at"}
    assert post(QUERY, headers=bearer(reply)).status_code == 200
    again = token(**form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_a_code_is_only_for_the_address_it_was_sent_to(sandbox, session, token):
    code = parse_qs(urlsplit(authorize(sandbox, session).headers["Location"]).query)["code"][0]
    answer = token(grant_type="authorization_code", code=code, redirect_uri="http://127.0.0.1:9/other")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("wrong", [{"client_id": "other"}, {"response_type": "token"}, {"redirect_uri": ""}])
def test_a_wrong_authorization_request_is_400(sandbox, session, wrong):
    assert authorize(sandbox, session, **wrong).status_code == 400


def test_a_spent_refresh_token_is_refused(sandbox, token):
    old = sandbox.authorize()["refresh_token"]
    new = token(grant_type="refresh_token", refresh_token=old).json()
    spent = token(grant_type="refresh_token", refresh_token=old)
    assert (spent.status_code, spent.json()["error"]) == (400, "invalid_grant")
    assert token(grant_type="refresh_token", refresh_token=new["refresh_token"]).status_code == 200


def test_a_refresh_whose_reply_is_lost_has_spent_the_token(sandbox, token):
    old = sandbox.authorize()["refresh_token"]
    sandbox.faults.add(Fault("truncated", path="/developer/oauth/token"))
    assert token(grant_type="refresh_token", refresh_token=old).text.startswith("{")
    assert token(grant_type="refresh_token", refresh_token=old).status_code == 400


def test_a_refresh_that_a_gateway_refused_has_not_spent_the_token(sandbox, token):
    old = sandbox.authorize()["refresh_token"]
    sandbox.faults.add(Fault("status", status=502, path="/developer/oauth/token"))
    answers = [token(grant_type="refresh_token", refresh_token=old).status_code for _ in range(3)]
    assert answers == [502, 200, 400]


def test_a_reply_may_leave_out_the_refresh_token_and_keep_the_old_one_valid(sandbox, post, token):
    sandbox.omit_refresh_token_in_reply = True
    old = sandbox.authorize()["refresh_token"]
    for _ in range(2):
        reply = token(grant_type="refresh_token", refresh_token=old).json()
        assert "refresh_token" not in reply
        assert post(QUERY, headers=bearer(reply)).status_code == 200


def test_without_rotation_the_same_refresh_token_comes_back(sandbox, token):
    sandbox.rotate_refresh_tokens = False
    old = sandbox.authorize()["refresh_token"]
    for _ in range(2):
        assert token(grant_type="refresh_token", refresh_token=old).json()["refresh_token"] == old


def test_after_a_revocation_a_person_has_to_authorize_again(sandbox, post, token):
    reply = sandbox.authorize()
    sandbox.revoke_everything()
    assert post(QUERY, headers=bearer(reply)).status_code == 401
    assert token(grant_type="refresh_token", refresh_token=reply["refresh_token"]).status_code == 400


def test_a_wrong_client_secret_is_401_and_an_unknown_grant_400(sandbox, session, token):
    old = sandbox.authorize()["refresh_token"]
    wrong = token(grant_type="refresh_token", refresh_token=old, client_secret="wrong")
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert token(grant_type="password").json()["error"] == "unsupported_grant_type"
    as_json = session.post(f"{sandbox.url}/developer/oauth/token", json={"grant_type": "refresh_token"}, timeout=10)
    assert as_json.status_code == 401


# -- what was asked, and the control surface ------------------------------------------------------------------------


def test_requests_are_recorded_with_query_variables_and_headers(sandbox, post):
    before = len(sandbox.requests)
    post("query ($a: String) { allClients(after: $a) { totalCount } }", {"a": "MQ"})
    (asked,) = sandbox.requests[before:]
    assert (asked.path, asked.variables, asked.status) == ("/graphql/private/", {"a": "MQ"}, 200)
    assert "allClients" in asked.query
    assert asked.headers["x-gazelle-api-key"] == sandbox.api_key


def test_another_process_can_set_and_clear_faults(sandbox, session, post):
    url = f"{sandbox.url}/sandbox/faults"
    assert session.post(url, json={"kind": "status", "status": 502, "times": None}, timeout=10).status_code == 204
    assert post(QUERY).status_code == 502
    assert session.delete(url, timeout=10).status_code == 204
    assert post(QUERY).status_code == 200


@pytest.mark.parametrize("wrong", [{"kind": "typo"}, {"kind": "mutate", "mutate": "x"}, {"_met": 1}, [], {}])
def test_a_fault_that_cannot_be_is_400(sandbox, session, wrong):
    assert session.post(f"{sandbox.url}/sandbox/faults", json=wrong, timeout=10).status_code == 400


def test_another_process_can_add_edit_and_delete_records(sandbox, session, data):
    url = f"{sandbox.url}/sandbox/records/clients"
    added = session.post(url, json={"companyName": "Neuf"}, timeout=10).json()["id"]
    query = f'{{ client(id: "{added}") {{ companyName status }} }}'
    assert data(query)["client"] == {"companyName": "Neuf", "status": "ACTIVE"}
    assert session.patch(f"{url}/{added}", json={"status": "INACTIVE"}, timeout=10).status_code == 200
    assert data(query)["client"] == {"companyName": "Neuf", "status": "INACTIVE"}
    assert session.delete(f"{url}/{added}", timeout=10).status_code == 204
    assert data(query)["client"] is None
    assert session.delete(f"{url}/{added}", timeout=10).status_code == 404
    assert session.post(f"{sandbox.url}/sandbox/records/company", json={}, timeout=10).status_code == 404


def test_it_says_what_it_is_and_how_much_was_asked(sandbox, session, post):
    about = session.get(f"{sandbox.url}/sandbox", timeout=10).json()
    assert about["records"]["clients"] == 150
    assert about["faults"].keys() >= {"status", "missing", "technician"}
    count = session.get(f"{sandbox.url}/sandbox/requests", timeout=10).json()["count"]
    post(QUERY)
    assert session.get(f"{sandbox.url}/sandbox/requests", timeout=10).json()["count"] == count + 1


# -- its life -------------------------------------------------------------------------------------------------------


def test_it_comes_back_on_the_same_address_after_an_outage():
    sandbox = Sandbox(Account())
    url = sandbox.url
    with sandbox:
        assert requests.get(f"{url}/sandbox", timeout=10).status_code == 200
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"{url}/sandbox", timeout=10)
    with sandbox:
        assert sandbox.url == url
        assert requests.get(f"{url}/sandbox", timeout=10).status_code == 200


def test_it_serves_on_loopback_only():
    with pytest.raises(ValueError, match="loopback"):
        Sandbox(Account(), host="0.0.0.0")


def test_in_the_foreground_ctrl_c_ends_it_cleanly():
    script = """
import os, signal, threading, urllib.request
from gazelle_sync.sandbox import Account, Sandbox
sandbox = Sandbox(Account())
def ask():
    while True:
        try:
            print(urllib.request.urlopen(sandbox.url + "/sandbox").status, flush=True)
        except OSError:
            continue  # it is not listening yet
        return os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=ask).start()
sandbox.serve_forever()
print("ended")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout.split(), done.returncode, done.stderr) == (["200", "ended"], 0, "")

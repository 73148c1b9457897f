"""Bodies that a client must not trust: dripping, endless, unpacking to gigabytes; and how long answers take."""

from __future__ import annotations

import resource
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from gazelle_sync.sandbox import Fault
from gazelle_sync_tests.conftest import AT_ONCE

USERS = "{ allUsers { id } }"
GIB = 2**30


@pytest.fixture
def stream(sandbox, session):
    """Posts the query and gives the response before its body is read."""

    def ask(patience: int = 60):
        headers = {"x-gazelle-api-key": sandbox.api_key}
        url = f"{sandbox.url}/graphql/private/"
        return session.post(url, json={"query": USERS}, headers=headers, timeout=(5, patience), stream=True)

    return ask


def test_a_dripping_body_comes_a_byte_at_a_time(sandbox, stream):
    sandbox.faults.add(Fault("dripping", seconds=0.05))
    with stream() as answer:
        began = time.perf_counter()
        pieces = answer.raw.stream(1)
        assert b"".join(next(pieces) for _ in range(6)) == b'{"data'
        assert time.perf_counter() - began >= 0.2


def test_a_drip_slower_than_the_client_waits_times_out(sandbox, stream):
    sandbox.faults.add(Fault("dripping", seconds=3))
    with stream(patience=1) as answer, pytest.raises(requests.exceptions.ConnectionError):
        _ = answer.content


def test_an_endless_body_goes_on_until_the_client_leaves_and_takes_no_memory(sandbox, stream, post):
    sandbox.faults.add(Fault("endless_body"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    received = 0
    with stream() as answer:
        for piece in answer.iter_content(2**20):
            received += len(piece)
            if received > 100 * 2**20:
                break
    assert received > 100 * 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # in kB
    assert post(USERS).status_code == 200


def test_a_body_without_an_end_can_end_unfinished(sandbox, post):
    sandbox.faults.add(Fault("endless_body", size=100_000))
    answer = post(USERS)
    assert len(answer.content) > 100_000
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_a_small_gzip_body_unpacks_to_gigabytes_of_valid_json(sandbox, stream):
    sandbox.faults.add(Fault("gzip_bomb", size=GIB))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with stream() as answer:
        packed = answer.raw.read(decode_content=False)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 3 * 2**20
    unpacked, end = 0, b""
    while packed:  # one gzip file after the other, a few megabytes of each at a time
        opener = zlib.decompressobj(wbits=31)
        while not opener.eof:
            piece = opener.decompress(packed, 2**22)
            unpacked, end, packed = unpacked + len(piece), (end + piece)[-400:], opener.unconsumed_tail
        packed = opener.unused_data
    assert unpacked > GIB
    assert end.lstrip().startswith(b'{"data"')
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # in kB


def test_a_client_unpacks_a_smaller_one_to_the_answer(sandbox, post):
    sandbox.faults.add(Fault("gzip_bomb", size=2**26))
    answer = post(USERS)
    assert len(answer.content) > 2**26
    assert len(answer.json()["data"]["allUsers"]) == 6


@pytest.mark.parametrize("size", [None, 70_000])
def test_an_id_can_be_very_long(sandbox, data, size):
    sandbox.faults.add(Fault("long_id", size=size))
    nodes = data("{ allClients(first: 3) { nodes { id } } }")["allClients"]["nodes"]
    assert [len(node["id"]) for node in nodes] == [20, 20, size or 4000]


def test_latency_is_counted_for_the_request_and_for_each_record(sandbox, post):
    query = "{ allClients(first: 20) { nodes { id } } }"
    sandbox.latency, sandbox.latency_per_record = 0.1, 0.01
    began = time.perf_counter()
    post(query)
    assert time.perf_counter() - began >= 0.3


def test_requests_wait_side_by_side(sandbox, post):
    sandbox.latency, sandbox.latency_per_record = 2.0, 0.01
    began = time.perf_counter()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post("{ allClients(first: 20) { nodes { id } } }"), range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert time.perf_counter() - began < AT_ONCE


def test_another_process_can_set_options_and_edit_the_company(sandbox, session, data):
    options = {"page_cap": 7, "latency_per_record": 0.001, "usual_filters": {"invoices": {"archived": False}}}
    answer = session.patch(f"{sandbox.url}/sandbox/options", json=options, timeout=10)
    assert answer.json().items() >= options.items()
    answer = data("{ allClients { nodes { id } } allInvoices { totalCount } }")
    assert len(answer["allClients"]["nodes"]) == 7
    assert answer["allInvoices"]["totalCount"] < 300
    assert session.patch(f"{sandbox.url}/sandbox/options", json={"api_key": "x"}, timeout=10).status_code == 400
    session.patch(f"{sandbox.url}/sandbox/company", json={"isParked": True}, timeout=10)
    assert data("{ company { isParked } }")["company"]["isParked"] is True

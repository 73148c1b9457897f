"""The first run of a database says at its beginning what the API has not; later ones have learned it."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import Engine

from gazelle_sync.environment.account import ask_account, remember
from gazelle_sync.gazelle import Client
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES


def introspections(sandbox: Sandbox) -> int:
    return sum("__schema" in request.query for request in sandbox.requests)


def test_a_first_run_names_what_is_gone_with_its_columns_in_one_request_and_a_second_run_asks_no_more(
    sandbox: Sandbox, client: Client, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(Fault("missing", names=["PrivateClient.referredBy", "PrivateQuery.allEstimates"]))
    with caplog.at_level(logging.WARNING):
        asked = ask_account(client, engine)
    told = [record.getMessage() for record in caplog.records]
    gone = "Gazelle's schema has no {} any more, which is asked for. It costs: {}"
    assert told.count("clients: " + gone.format("PrivateClient.referredBy", "referred_by")) == 1
    assert told.count("estimates: " + gone.format("PrivateQuery.allEstimates", "the whole table")) == 1
    assert len(told) == 4, "the tables inside of estimates, too"
    assert introspections(sandbox) == 1
    remember(asked, engine)
    ask_account(client, engine)
    assert introspections(sandbox) == 1


@pytest.mark.parametrize(
    "fault", [{"kind": "no_introspection"}, {"kind": "graphql_error", "match": "__schema", "times": None}]
)
def test_where_the_schema_can_not_be_looked_at_the_run_goes_on(
    sandbox: Sandbox, client: Client, engine: Engine, caplog: pytest.LogCaptureFixture, fault: dict[str, str]
) -> None:
    sandbox.faults.add(Fault(**fault))  # type: ignore[arg-type]
    assert ask_account(client, engine) is not None
    assert [each for each in caplog.records if each.name.endswith("first_contact")] == []


def test_tables_that_are_off_are_not_looked_at(
    sandbox: Sandbox, client: Client, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(Fault("missing", names=["PrivateClient.referredBy"]))
    ask_account(client, engine, {"users": TABLES["users"]})
    assert [each for each in caplog.records if each.name.endswith("first_contact")] == []

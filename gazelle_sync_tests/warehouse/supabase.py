"""A database as Supabase prepares it, on any server: its roles, what they get by default, the event triggers of its
REST API, and `postgres`, who is no superuser. No test, no expectation.

After the init scripts of github.com/supabase/postgres. The one that is called `postgres` there is `project_owner` here,
as a server of tests has a `postgres` of its own.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from gazelle_sync import warehouse
from gazelle_sync.environment.settings import ROOT

OWNER, SYNC, PASSWORD = "project_owner", "gazelle_sync", "a-long-random-password"
ROLES = {
    "anon": "NOLOGIN NOINHERIT",
    "authenticated": "NOLOGIN NOINHERIT",
    "service_role": "NOLOGIN NOINHERIT BYPASSRLS",
    "authenticator": "LOGIN NOINHERIT",
    OWNER: f"LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS PASSWORD '{PASSWORD}'",
}
PUBLIC = "anon, authenticated, service_role"
# `{me}` is the server's superuser, `supabase_admin` there.
PREPARED = f"""
GRANT {PUBLIC} TO authenticator;
GRANT {PUBLIC}, authenticator TO {OWNER} WITH ADMIN OPTION;
GRANT ALL ON SCHEMA public TO {OWNER};
GRANT USAGE ON SCHEMA public TO {PUBLIC};
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT ALL ON TABLES TO {OWNER}, {PUBLIC};
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT ALL ON FUNCTIONS TO {OWNER}, {PUBLIC};
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT ALL ON SEQUENCES TO {OWNER}, {PUBLIC};
CREATE SCHEMA extensions;
GRANT USAGE ON SCHEMA extensions TO {OWNER}, {PUBLIC};
CREATE FUNCTION extensions.pgrst_ddl_watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE made record;
BEGIN
    FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
        IF made.schema_name IS DISTINCT FROM 'pg_temp' THEN NOTIFY pgrst, 'reload schema'; END IF;
    END LOOP;
END $$;
CREATE FUNCTION extensions.pgrst_drop_watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE gone record;
BEGIN
    FOR gone IN SELECT * FROM pg_event_trigger_dropped_objects() LOOP
        IF NOT gone.is_temporary THEN NOTIFY pgrst, 'reload schema'; END IF;
    END LOOP;
END $$;
CREATE EVENT TRIGGER pgrst_ddl_watch ON ddl_command_end EXECUTE FUNCTION extensions.pgrst_ddl_watch();
CREATE EVENT TRIGGER pgrst_drop_watch ON sql_drop EXECUTE FUNCTION extensions.pgrst_drop_watch();
"""
# What docs/setup.md has for the SQL editor, and for Dagster's records.
PAGE = (ROOT / "docs" / "setup.md").read_text()
MAKING_THE_ROLE = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)[0]
FOR_THE_RECORDS = re.findall(r"`(CREATE SCHEMA dagster [^`]*)`", PAGE)[0]


@dataclass(frozen=True)
class Project:
    """One database of such a server."""

    server_url: str
    database: str

    def url(self, user: str = SYNC) -> str:
        url = make_url(self.server_url).set(drivername="postgresql", database=self.database)
        if user:
            url = url.set(username=user, password=PASSWORD)
        return url.render_as_string(hide_password=False)

    def engine(self, user: str = SYNC) -> Engine:
        return warehouse.connect(self.url(user))

    def run(self, statements: str, user: str = OWNER) -> list[tuple[object, ...]]:
        """As the SQL editor does: all of it is one transaction. As the superuser with an empty `user`."""
        with contextlib.closing(psycopg2.connect(self.url(user))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statements)
                return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def serving(server_url: str) -> Iterator[Project]:
    """The server's roles as long as it lasts, and a first database: prepared, and empty."""
    admin = Project(server_url, make_url(server_url).database or "postgres")
    there = {name for (name,) in admin.run("SELECT rolname FROM pg_roles", "")}
    made = {name: options for name, options in ROLES.items() if name not in there}
    for name, options in made.items():
        admin.run(f"CREATE ROLE {name} {options}", "")
    try:
        with copied(admin, "template0") as project:
            project.run(PREPARED, "")
            project.run(MAKING_THE_ROLE)
            yield project
    finally:
        admin.run(f"DROP ROLE IF EXISTS {SYNC}", "")
        for name in reversed(made):
            admin.run(f"DROP OWNED BY {name}; DROP ROLE {name}", "")


@contextlib.contextmanager
def copied(project: Project, template: str = "") -> Iterator[Project]:
    """A copy of a database; what may be done with the database itself is not copied along."""
    name = f"gazelle_test_{uuid.uuid4().hex[:8]}"
    admin = Project(project.server_url, make_url(project.server_url).database or "postgres")
    admin.run(f"CREATE DATABASE {name} TEMPLATE {template or project.database}", "")
    try:
        admin.run(f"GRANT ALL ON DATABASE {name} TO {OWNER}", "")
        yield Project(project.server_url, name)
    finally:
        admin.run(f"DROP DATABASE {name} WITH (FORCE)", "")


# -- for the tests that need them -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(server_url: str) -> Iterator[Project]:
    """A prepared database with the role and the schema of docs/setup.md."""
    with serving(server_url) as project:
        yield project


@pytest.fixture(scope="module")
def prepared_and_migrated(prepared: Project) -> Iterator[Project]:
    with copied(prepared) as project:
        engine = project.engine()
        warehouse.migrate(engine)
        warehouse.prepare(engine)
        yield project


@pytest.fixture
def new(prepared: Project) -> Iterator[Project]:
    """A project of the test's own, where no sync ever ran."""
    with copied(prepared) as project:
        yield project


@pytest.fixture
def migrated(prepared_and_migrated: Project) -> Iterator[Project]:
    """A project of the test's own, with every table and view."""
    with copied(prepared_and_migrated) as project:
        yield project

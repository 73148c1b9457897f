"""On a database as Supabase prepares it: what `check` finds green, a sync can do; what it finds red, its own statements
mend, word for word, and then it is green and a sync works."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from gazelle_sync import warehouse
from gazelle_sync.cli.findings import examine
from gazelle_sync.environment import settings as environment
from gazelle_sync.environment.settings import ROOT
from gazelle_sync.sandbox import Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync.translations import Speech
from gazelle_sync.warehouse import VIEWS
from gazelle_sync_tests.conftest import HISTORY_START
from gazelle_sync_tests.warehouse.canned import Canned, clients
from gazelle_sync_tests.warehouse.supabase import (  # noqa: F401  fixtures
    FOR_THE_RECORDS,
    OWNER,
    SYNC,
    Project,
    copied,
    migrated,
    new,
    prepared,
    prepared_and_migrated,
)

Check = Callable[..., dict[str, str]]

# Lines that have nothing to do with the database, or with this one.
ELSEWHERE = {"configuration", "Gazelle", "account", "who is asking", "parked", "maintenance", "clock", "files"}


@pytest.fixture
def check(served: Sandbox, bare: pytest.MonkeyPatch) -> Check:
    """What `check` finds red of a project's database: line → text. `about` gives what it says of one line."""

    def run(project: Project, about: str = "", **variables: str) -> dict[str, str]:
        given = {
            "SUPABASE_DB_URL": project.url(),
            "GAZELLE_BASE_URL": served.url,
            "GAZELLE_API_KEY": served.api_key,
            "GAZELLE_REQUESTS_PER_SECOND": "1000",
            "GAZELLE_HISTORY_START": str(HISTORY_START),
        }
        settings = environment.read_settings({**given, **variables})
        found = [finding for finding in examine(settings, Speech("en")) if finding.what not in ELSEWHERE]
        if about:
            return {finding.what: finding.text for finding in found if finding.what == about}
        return {finding.what: finding.text for finding in found if finding.good is False}

    return run


def mended_by(text: str) -> str:
    """The statements that a red line ends with, as somebody copies them."""
    return re.split(r"\b(?:run(?: \([^)]*\))?|name it): ", text)[-1]


PIANO = {"external_id": "ins_1", "client_external_id": "cli_0001", "tags": ["a"], "make": "Yamaha", "year": 1980}


def sync(project: Project) -> None:
    """What a night does with the database, with little to load. Raises, or fails, what would end it otherwise."""
    engine = project.engine()
    warehouse.prepare(engine)
    given = {"clients": clients(range(3), status="ACTIVE", tags=["x", "y"]), "pianos": [PIANO]}
    for name in ("users", "clients", "pianos", "appointments"):
        source = Canned(TABLES[name], given.get(name, []))
        report = warehouse.load(engine, source, run_id="night", allow_mass_delete=True)
        assert report.status == "success", report.warnings
    assert project.run("SELECT count(*) FROM gazelle.clients WHERE company_name LIKE 'Client _'") == [(3,)]
    warehouse.count_view_rows(engine, list(VIEWS.values()))


@pytest.fixture
def agree(check: Check) -> Callable[..., str]:
    """Mends what is red, as the project's owner, with what is printed; what was said at first of the `lines`."""

    def run(project: Project, *lines: str, user: str = OWNER, **variables: str) -> str:
        red = check(project, **variables)
        assert list(red) == [*lines], red
        told = "\n".join(red.values())
        for _ in range(3):
            for text in red.values():
                project.run(mended_by(text), user)
            if not (red := check(project, **variables)):
                break
        assert red == {}
        sync(project)
        assert check(project, **variables) == {}
        return told

    return run


def test_the_project_of_the_setup_page_is_green_and_a_sync_works(new: Project, check: Check) -> None:  # noqa: F811
    assert check(new) == {}
    sync(new)
    assert check(new) == {}
    assert check(new, "tables") == {"tables": "as declared"}
    # Nobody of the public reads anything, whatever is granted by default.
    for role in ("anon", "authenticated"):
        assert new.run(
            "SELECT count(*) FROM pg_class CROSS JOIN aclexplode(relacl) JOIN pg_roles ON pg_roles.oid = grantee "
            f"WHERE relnamespace = 'gazelle'::regnamespace AND rolname = '{role}'"
        ) == [(0,)]  # fmt: skip


# -- rights -----------------------------------------------------------------------------------------------------------

GIVE_AWAY = f"""
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'gazelle'::regnamespace AND relkind IN ('r', 'v') LOOP
        EXECUTE format('ALTER TABLE gazelle.%I OWNER TO {OWNER}', name);
    END LOOP;
END $$;
GRANT ALL ON ALL TABLES IN SCHEMA gazelle TO {SYNC};
"""
OLD = f"""
DROP SCHEMA gazelle CASCADE; CREATE SCHEMA gazelle; GRANT USAGE, CREATE ON SCHEMA gazelle TO {SYNC};
CREATE TABLE gazelle.clients (
    id serial PRIMARY KEY, external_id varchar(64) UNIQUE, company_name text, status varchar(20), tags jsonb,
    created_at timestamp, updated_at timestamp(0), crm_note text
);
ALTER TABLE gazelle.clients ENABLE ROW LEVEL SECURITY;
INSERT INTO gazelle.clients (external_id, company_name, tags, created_at) VALUES
    ('cli_0001', 'Before', '["a", "b"]', '2017-01-05 14:30'), (NULL, 'Ours', 'null', '2017-01-05 14:30');
"""

# What somebody did → the red line, words of it, and who can mend it.
RIGHTS = {
    "no schema, and none may be made": ("DROP SCHEMA gazelle CASCADE", "may not create tables", OWNER),
    "a schema of another role": (
        f"DROP SCHEMA gazelle CASCADE; CREATE SCHEMA gazelle; GRANT USAGE ON SCHEMA gazelle TO {SYNC}",
        "may not create tables",
        OWNER,
    ),
    "no temporary tables": ("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC", "may not make temporary", ""),
    "tables of another role, and rights": (GIVE_AWAY, "Row level security hides account", OWNER),
    "tables of another role, and too few rights": (
        f"{GIVE_AWAY}; REVOKE INSERT ON gazelle.clients FROM {SYNC}",
        "may not read and write clients.",
        OWNER,
    ),
    "a view of another role, of another version": (
        f"ALTER VIEW gazelle.agenda OWNER TO {OWNER}; COMMENT ON VIEW gazelle.agenda IS 'gazelle-sync older'",
        "The next sync has to add to agenda",
        OWNER,
    ),
    "a view of another role, that may not be read": (
        f"ALTER VIEW gazelle.agenda OWNER TO {OWNER}; REVOKE ALL ON gazelle.agenda FROM {SYNC}",
        "may not read and write agenda.",
        OWNER,
    ),
    "a table of another role that lacks a column": (
        f"{GIVE_AWAY} ALTER TABLE gazelle.pianos DROP location CASCADE",
        "The next sync has to add to pianos",
        OWNER,
    ),
    "an empty table of another role that lacks an index": (
        f"DROP INDEX gazelle.pianos_client_external_id_idx; ALTER TABLE gazelle.pianos OWNER TO {OWNER}; "
        f"GRANT ALL ON gazelle.pianos TO {SYNC}",
        "The next sync has to add to pianos",
        OWNER,
    ),
    "a key of another role's table that was never proved": (
        "ALTER TABLE gazelle.pianos DROP CONSTRAINT pianos_client_external_id_fkey; ALTER TABLE gazelle.pianos "
        "ADD FOREIGN KEY (client_external_id) REFERENCES gazelle.clients (external_id) NOT VALID; "
        f"ALTER TABLE gazelle.pianos OWNER TO {OWNER}; GRANT ALL ON gazelle.pianos TO {SYNC}",
        "The next sync has to add to pianos",
        OWNER,
    ),
    "a table of another role that nobody else may refer to": (
        f"DROP TABLE gazelle.pianos CASCADE; ALTER TABLE gazelle.clients OWNER TO {OWNER}; "
        f"ALTER TABLE gazelle.clients DISABLE ROW LEVEL SECURITY; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON gazelle.clients TO {SYNC}",
        "may not read and write clients.",
        OWNER,
    ),
    "numbers of another role's": (
        "ALTER TABLE gazelle.users ALTER id DROP IDENTITY; CREATE SEQUENCE gazelle.numbers; "
        "ALTER TABLE gazelle.users ALTER id SET DEFAULT nextval('gazelle.numbers')",
        "may not read and write gazelle.numbers",
        OWNER,
    ),
}


@pytest.mark.parametrize("did", RIGHTS)
def test_a_right_that_is_lacking_is_red_and_mended_by_what_is_printed(
    migrated: Project,  # noqa: F811
    agree: Callable[..., str],
    did: str,
) -> None:
    statements, told, user = RIGHTS[did]
    migrated.run(statements.replace("{database}", migrated.database), OWNER if user else "")
    lines = ["privileges"]
    if "DISABLE ROW LEVEL" in statements:
        lines.append("row level security")
    assert told in agree(migrated, *lines, user=user)


def test_the_old_service_s_table_of_another_role_is_taken_over_with_what_is_printed(
    migrated: Project,  # noqa: F811
    agree: Callable[..., str],
) -> None:
    migrated.run(f"{OLD} GRANT ALL ON gazelle.clients TO {SYNC}")
    migrated.run("CREATE VIEW public.theirs AS SELECT external_id, company_name FROM gazelle.clients")
    migrated.run("REVOKE ALL ON public.theirs FROM anon, authenticated, service_role")
    told = agree(migrated, "privileges", "tables")
    assert f"ALTER TABLE gazelle.clients OWNER TO {SYNC};" in told
    # Their view reads on, their column and their row are there, and their times are as they were, in UTC.
    assert migrated.run("SELECT count(*) FROM public.theirs WHERE company_name LIKE 'Client _'") == [(3,)]
    assert migrated.run("SELECT company_name, tags, created_at AT TIME ZONE 'UTC' = '2017-01-05 14:30' "
                        "FROM gazelle.clients WHERE external_id IS NULL") == [("Ours", [], True)]  # fmt: skip


def test_owners_who_are_no_members_of_the_sync_s_role_are_made_so_by_what_is_printed(
    migrated: Project,  # noqa: F811
    agree: Callable[..., str],
) -> None:
    migrated.run("CREATE ROLE gazelle_test_stranger; GRANT gazelle_test_stranger TO CURRENT_USER")
    try:
        migrated.run("GRANT USAGE, CREATE ON SCHEMA gazelle TO gazelle_test_stranger")
        migrated.run(
            "ALTER TABLE gazelle.pianos DROP location CASCADE; ALTER TABLE gazelle.pianos OWNER "
            f"TO gazelle_test_stranger; GRANT ALL ON gazelle.pianos TO {SYNC}"
        )
        assert f"GRANT {SYNC} TO gazelle_test_stranger; ALTER TABLE" in agree(migrated, "privileges")
    finally:
        migrated.run("DROP OWNED BY gazelle_test_stranger; DROP ROLE gazelle_test_stranger")


def test_a_sync_does_without_a_view_of_another_role_and_says_where_the_statement_is(
    migrated: Project,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    migrated.run(
        f"ALTER VIEW gazelle.agenda OWNER TO {OWNER}; REVOKE ALL ON gazelle.agenda FROM {SYNC}; "
        "COMMENT ON VIEW gazelle.agenda IS 'gazelle-sync older'; ALTER TABLE gazelle.users DROP status CASCADE"
    )
    with caplog.at_level("WARNING"):
        assert "column users.status" in warehouse.migrate(migrated.engine())
    assert "left out: the view gazelle.agenda. It is another role's; `gazelle-sync check`" in caplog.text
    assert warehouse.count_view_rows(migrated.engine(), list(VIEWS.values())).keys() == VIEWS.keys() - {"agenda"}


# -- types ------------------------------------------------------------------------------------------------------------

# What stands there → words of the red line. `{table}` of clients has the columns of the old service, see `OLD`.
TYPES = {
    "a number as text": "ALTER TABLE gazelle.pianos ALTER year TYPE text; UPDATE gazelle.pianos SET year = ''",
    "a list as JSON": "ALTER TABLE gazelle.pianos ALTER tags DROP DEFAULT, ALTER tags TYPE jsonb USING to_jsonb(tags); "
    "UPDATE gazelle.pianos SET tags = '[\"a, b\"]'",
    "a list as text": "ALTER TABLE gazelle.pianos ALTER tags DROP DEFAULT, ALTER tags TYPE text USING tags::text, "
    "ALTER tags SET DEFAULT ''; UPDATE gazelle.pianos SET tags = 'a, b'",
    "a time as text": "ALTER TABLE gazelle.pianos ALTER created_at TYPE text",
    "an enumeration": "CREATE TYPE public.state AS ENUM ('ACTIVE'); "
    "ALTER TABLE gazelle.pianos ALTER status TYPE public.state USING status::public.state",
    "padded text": "ALTER TABLE gazelle.pianos ALTER make TYPE char(40)",
    "text that ends, since the last comparison": "ALTER TABLE gazelle.pianos ALTER make TYPE varchar(5)",
    "text that ends, with a view": "ALTER TABLE gazelle.pianos ALTER make TYPE varchar(5); "
    "CREATE VIEW gazelle.makes AS SELECT make FROM gazelle.pianos",
    "text that ends, with views on views and their rights": "ALTER TABLE gazelle.pianos ALTER make TYPE varchar(5); "
    'CREATE VIEW public.makes WITH (security_invoker = true) AS SELECT make AS "a; make" FROM gazelle.pianos; '
    "COMMENT ON VIEW public.makes IS 'Theirs; ''yes'', daily at 02:30'; "
    "CREATE RULE kept AS ON DELETE TO public.makes DO INSTEAD NOTHING; "
    "COMMENT ON RULE kept ON public.makes IS 'Nobody; ''deletes'''; "
    """COMMENT ON COLUMN public.makes."a; make" IS 'Who; ''built'' it'; """
    """ALTER VIEW public.makes ALTER "a; make" SET DEFAULT 'Steinway; '; """
    "CREATE FUNCTION public.put() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
    "CREATE TRIGGER taken INSTEAD OF INSERT ON public.makes FOR EACH ROW EXECUTE FUNCTION public.put(); "
    "REVOKE ALL ON public.makes FROM anon, service_role; GRANT SELECT ON public.makes TO service_role; "
    "CREATE VIEW public.counted AS SELECT count(*) AS n FROM public.makes; "
    "REVOKE ALL ON public.counted FROM anon, authenticated, service_role; "
    "CREATE MATERIALIZED VIEW public.kept AS SELECT * FROM public.makes; "
    'CREATE UNIQUE INDEX kept_once ON public.kept ("a; make"); COMMENT ON INDEX public.kept_once IS $$Once; $$; '
    'COMMENT ON COLUMN public.kept."a; make" IS $$Kept$$; '
    "REVOKE ALL ON public.kept FROM anon, authenticated, service_role",
    "text that ends, with a policy": "ALTER TABLE gazelle.pianos ALTER make TYPE varchar(5); "
    "CREATE POLICY theirs ON gazelle.pianos FOR SELECT TO authenticated, service_role USING (make <> 'x'); "
    "COMMENT ON POLICY theirs ON gazelle.pianos IS 'Whose; ''theirs'''",
    "text that ends, with a trigger": "ALTER TABLE gazelle.pianos ALTER make TYPE varchar(5); "
    "CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
    "CREATE TRIGGER theirs BEFORE UPDATE OF make ON gazelle.pianos FOR EACH ROW EXECUTE FUNCTION public.noted(); "
    "COMMENT ON TRIGGER theirs ON gazelle.pianos IS 'Notes; ''all'''; "
    "ALTER TABLE gazelle.pianos DISABLE TRIGGER theirs",
    "a view in the place of a table": "DROP TABLE gazelle.pianos CASCADE; "
    "CREATE VIEW gazelle.pianos AS SELECT 'ins_1' AS external_id",
}
# All that a statement takes away and makes again, as it is, apart from its number.
SURVIVES = """
SELECT relname::text, relkind::text, reloptions::text, pg_get_userbyid(relowner)::text,
       obj_description(oid, 'pg_class'),
       (SELECT array_agg(each ORDER BY each)
        FROM unnest(coalesce(relacl, acldefault('r', relowner))::text[]) AS each)::text,
       (SELECT array_agg(concat_ws(': ', attname, col_description(attrelid, attnum), pg_get_expr(adbin, adrelid)))
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = pg_class.oid AND attnum > 0)::text
FROM pg_class WHERE relkind IN ('v', 'm', 'i') AND relname IN ('makes', 'counted', 'kept', 'kept_once')
UNION ALL SELECT polname, polcmd::text, polroles::regrole[]::text, polpermissive::text, NULL, NULL,
                 obj_description(oid, 'pg_policy') FROM pg_policy
WHERE polname = 'theirs'
UNION ALL SELECT tgname, NULL, pg_get_triggerdef(oid), NULL, tgenabled::text, NULL, obj_description(oid, 'pg_trigger')
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT rulename, NULL, pg_get_ruledef(oid), NULL, ev_enabled::text, NULL, obj_description(oid, 'pg_rewrite')
FROM pg_rewrite WHERE ev_class = to_regclass('public.makes') AND rulename <> '_RETURN'
ORDER BY 1, 2
"""


@pytest.mark.parametrize("there", TYPES)
def test_a_type_that_a_sync_may_stumble_over_is_red_and_mended_by_what_is_printed(
    migrated: Project,  # noqa: F811
    agree: Callable[..., str],
    there: str,
) -> None:
    migrated.run("INSERT INTO gazelle.pianos (external_id, status) VALUES ('ins_1', 'ACTIVE')")
    migrated.run("".join(f"DROP VIEW gazelle.{view} CASCADE;" for view in VIEWS) + TYPES[there])
    before = migrated.run(SURVIVES)
    told = agree(migrated, "tables")
    assert "pianos" in told
    assert migrated.run(SURVIVES) == before


KEPT = {
    "a view": "CREATE VIEW gazelle.theirs AS SELECT id, created_at FROM gazelle.clients",
    "a policy": "CREATE POLICY theirs ON gazelle.clients FOR SELECT TO service_role USING (created_at < now())",
    "a generated column": "ALTER TABLE gazelle.clients ADD theirs integer "
    "GENERATED ALWAYS AS (extract(year FROM created_at)) STORED",
    "an index": "CREATE INDEX theirs ON gazelle.clients (date(created_at))",
    "a function": "CREATE FUNCTION public.theirs() RETURNS bigint LANGUAGE sql "
    "BEGIN ATOMIC SELECT count(created_at) FROM gazelle.clients; END",
    "a function that reads a view": "CREATE VIEW public.seen WITH (security_invoker) AS "
    "SELECT created_at FROM gazelle.clients; "
    "CREATE FUNCTION public.theirs() RETURNS SETOF public.seen LANGUAGE sql AS 'SELECT * FROM public.seen'",
    "a table with a rule": "CREATE TABLE public.theirs (id text); CREATE RULE theirs AS ON INSERT TO public.theirs "
    "DO ALSO UPDATE gazelle.clients SET created_at = now() WHERE crm_note = new.id",
}


@pytest.mark.parametrize("made", KEPT)
def test_a_type_that_a_sync_can_do_with_is_green_and_what_keeps_it_so_is_named(
    new: Project,  # noqa: F811
    check: Check,
    made: str,
) -> None:
    new.run(f"{OLD} ALTER TABLE gazelle.clients OWNER TO {SYNC}; ALTER TABLE gazelle.clients DROP tags; {KEPT[made]}")
    assert check(new) == {}
    sync(new)
    sync(new)
    assert check(new) == {}
    [text] = check(new, "tables").values()
    assert text.startswith("as declared. clients.created_at is timestamp without time zone and stays so")
    assert "left out for it: client_overview." in text
    # What nothing is made of is what it should be by now; so is what only had a length.
    assert "updated_at" not in text
    assert "status" not in text
    assert "theirs" in text
    if made in ("a view", "a policy"):
        new.run(mended_by(text))
        assert "view client_overview" in warehouse.migrate(new.engine())
        assert check(new, "tables") == {"tables": "as declared"}
        sync(new)
    else:
        assert "To have it as declared" not in text


# -- readers, leftovers, encoding, records ----------------------------------------------------------------------------

OPEN = {
    "row level security is off": ("ALTER TABLE gazelle.clients DISABLE ROW LEVEL SECURITY", "row level security"),
    "a grant to everybody": ("GRANT SELECT ON gazelle.clients TO PUBLIC", "readers"),
    "a grant on a column": ("GRANT SELECT (email) ON gazelle.clients TO anon", "readers"),
    "a view of another schema": ("CREATE VIEW public.theirs AS SELECT email FROM gazelle.clients", "readers"),
    "a materialized view": ("CREATE MATERIALIZED VIEW public.theirs AS SELECT email FROM gazelle.clients", "readers"),
    "a column that must be filled": ("ALTER TABLE gazelle.clients ADD theirs text NOT NULL", "tables"),
}


@pytest.mark.parametrize("did", OPEN)
def test_what_is_open_or_in_the_way_is_red_and_mended_by_what_is_printed(
    migrated: Project,  # noqa: F811
    agree: Callable[..., str],
    did: str,
) -> None:
    statements, line = OPEN[did]
    migrated.run(statements)
    agree(migrated, line)


def test_an_old_table_that_the_public_reads_is_red_before_a_sync_stops_at_it(
    new: Project,  # noqa: F811
    agree: Callable[..., str],
    check: Check,
) -> None:
    new.run(
        f"{OLD} ALTER TABLE gazelle.clients OWNER TO {SYNC}; ALTER TABLE gazelle.clients DROP tags; "
        "ALTER TABLE gazelle.clients DISABLE ROW LEVEL SECURITY; GRANT USAGE ON SCHEMA gazelle TO anon, authenticated; "
        "GRANT ALL ON ALL TABLES IN SCHEMA gazelle TO anon, authenticated; "
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA gazelle TO anon, authenticated"
    )
    with pytest.raises(warehouse.WarehouseError, match="personal data"):
        sync(new)
    agree(new, "row level security", "readers")


def test_a_database_in_another_encoding_is_left_for_the_one_that_is_printed(
    prepared: Project,  # noqa: F811
    check: Check,
) -> None:
    prepared.run("CREATE DATABASE gazelle_test_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", "")
    latin = Project(prepared.server_url, "gazelle_test_latin")
    made = Project(prepared.server_url, "gazelle")
    try:
        red = check(latin)
        assert "LATIN1" in red["database"]
        latin.run(mended_by(red["database"]))
        made.run(f"CREATE SCHEMA gazelle AUTHORIZATION {SYNC}")
        assert check(made) == {}
        sync(made)
    finally:
        prepared.run("DROP DATABASE IF EXISTS gazelle WITH (FORCE)")
        prepared.run("DROP DATABASE gazelle_test_latin WITH (FORCE)", "")


@pytest.fixture
def records(new: Project) -> dict[str, str]:  # noqa: F811
    return {"DAGSTER_POSTGRES_URL": new.url()}


@pytest.mark.parametrize("way", ["what is printed", "what the page has"])
def test_dagster_s_records_have_their_schema_by_what_is_printed_or_by_the_page(
    new: Project,  # noqa: F811
    check: Check,
    agree: Callable[..., str],
    records: dict[str, str],
    way: str,
) -> None:
    if way == "what the page has":
        new.run(FOR_THE_RECORDS)
        assert check(new, **records) == {}
    else:
        assert "DAGSTER_POSTGRES_URL" in agree(new, "Dagster's records", **records)
    warehouse.make_schema(new.url(), "dagster", variable="DAGSTER_POSTGRES_URL")


# -- what the pages say -----------------------------------------------------------------------------------------------

PAGES = ("setup.md", "setup.fr.md", "operations.md", "operations.fr.md")
INLINE = r"`((?:ALTER|CREATE|GRANT|REVOKE|DROP|DELETE|UPDATE|INSERT|SELECT) [^`…]*)`"
IN_PAGES = [(page, found) for page in PAGES for found in re.findall(INLINE, (ROOT / "docs" / page).read_text())]


def test_both_languages_have_the_same_statements_in_their_text() -> None:
    for page in ("setup", "operations"):
        english, french = ([found for name, found in IN_PAGES if name == f"{page}{end}"] for end in (".md", ".fr.md"))
        assert english
        assert english == french


def test_every_statement_in_the_text_of_a_page_can_be_executed(migrated: Project) -> None:  # noqa: F811
    for statement in dict.fromkeys(found for _, found in IN_PAGES):
        # It is for one's own roles; what a session's number is, is seen there and then.
        migrated.run(statement.replace("(pid)", "(NULL)"), OWNER if "AUTHORIZATION" in statement else SYNC)

"""`deploy/`: what can run here runs, and the rest is held against its published schema, or its documented structure."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml
from click.testing import CliRunner

from gazelle_sync import cli
from gazelle_sync.environment import settings as environment
from gazelle_sync.ui.guard import own_origins
from gazelle_sync_tests.daemon.instance import free_port
from gazelle_sync_tests.hosting.servers import Server, binary, certificate
from gazelle_sync_tests.project import COMMANDS, SOURCE, Project, running

DEPLOY = SOURCE / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def patiently(look: Any, what: str, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"Waited {seconds} s for {what}."
        time.sleep(0.3)
    return found


def instructions(name: str) -> list[str]:
    """The Dockerfile's instructions of a kind, of its last stage first."""
    whole = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return [line.removeprefix(name).strip() for line in reversed(whole.splitlines()) if line.startswith(f"{name} ")]


# -- containers -------------------------------------------------------------------------------------------------------


def test_the_compose_file_is_valid_by_its_published_schema() -> None:
    done = subprocess.run(
        [COMMANDS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_containers_publish_on_loopback_only_and_keep_what_must_last_in_volumes() -> None:
    services = COMPOSE["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:3000:3000"]
    assert services["records"]["command"][-1] == "listen_addresses="
    for service in services.values():
        for volume in service["volumes"]:
            assert volume.split(":")[0] in COMPOSE["volumes"]
    (volumes,) = instructions("VOLUME")
    for name in ("webserver", "daemon"):
        mounted = {volume.split(":")[1] for volume in services[name]["volumes"]}
        assert mounted >= set(re.findall(r'"([^"]+)"', volumes))


def test_the_image_is_made_of_files_that_exist_and_that_its_ignore_file_lets_in() -> None:
    allowed = re.findall(r"^!(\S+)", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copied = [name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]]
    assert sorted(set(copied)) == sorted(allowed)
    assert all((SOURCE / name).exists() for name in copied)


def test_the_linter_for_dockerfiles_finds_nothing() -> None:
    done = subprocess.run(
        [COMMANDS / "hadolint", "--no-color", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_does_not_run_as_root_and_has_a_health_check() -> None:
    (user,) = instructions("USER")
    assert f"--uid {user} " in instructions("RUN")[1]
    assert len(instructions("HEALTHCHECK")) == 1


def test_whoever_starts_dagsters_webserver_in_the_image_starts_the_guarded_one() -> None:
    (made,) = [line for line in instructions("RUN") if "pip install" in line]
    assert made.endswith("&& ln -sf gazelle-sync-ui /venv/bin/dagster-webserver")
    # What Dagster's Helm chart gives it.
    chart = ["-h", "0.0.0.0", "-p", "3000", "-w", "/dagster-workspace/workspace.yaml"]
    done = subprocess.run([COMMANDS / "gazelle-sync-ui", *chart, "--help"], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.fixture
def container(tmp_path: Path, emptied: Server) -> Project:
    """The image's folder and environment, with Dagster's records behind a socket as the compose file has them."""
    emptied.run("DROP SCHEMA IF EXISTS dagster CASCADE")
    given = COMPOSE["services"]["daemon"]["environment"]["DAGSTER_POSTGRES_URL"]
    url = given.replace("dagster@/dagster", "postgres@/postgres").replace("/var/run/postgresql", str(emptied.folder))
    return Project(
        tmp_path / "app",
        DAGSTER_HOME=str(tmp_path / "app"),
        DAGSTER_DISABLE_TELEMETRY="yes",
        DAGSTER_POSTGRES_URL=f"{url}&port={emptied.port}",
        GAZELLE_HISTORY_START="2026-01-01",
    )


def as_list(instruction: str) -> list[str]:
    return re.findall(r'"((?:[^"\\]|\\.)*)"', instruction)


def test_the_webserver_and_the_daemon_start_with_the_images_commands_and_are_found_healthy(container: Project) -> None:
    shutil.rmtree(container.root / "var")  # as on a disk that was just attached
    webserver = as_list(instructions("CMD")[0])
    assert webserver[0] == "gazelle-sync-ui"
    port = str(free_port())
    webserver[webserver.index("3000")] = port
    health = [part.replace(":3000/", f":{port}/") for part in as_list(instructions("HEALTHCHECK")[0])]
    daemon = COMPOSE["services"]["daemon"]
    liveness = daemon["healthcheck"]["test"][1:]

    def start(command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMANDS / command[0], *command[1:]],
            cwd=container.root,
            env=container.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def well(command: list[str]) -> bool:
        return start(command).wait(60) == 0

    assert not well(liveness)
    with running(start(webserver)) as first, running(start(daemon["command"])) as second:
        patiently(lambda: well(health), "the webserver to be healthy")
        patiently(lambda: well(liveness), "the daemon to be alive")
        for process in (first, second):
            process.terminate()
            process.wait(60)
    assert (container.root / "var/logs").is_dir()
    assert not (container.root / "var/dagster/history").exists()


# -- Render -----------------------------------------------------------------------------------------------------------

# Of the fields of a service in Render's blueprint reference, the ones that these two kinds have.
FIELDS = {
    *("type", "name", "runtime", "plan", "region", "branch", "rootDir", "buildCommand", "startCommand", "envVars"),
    *("autoDeployTrigger", "buildFilter"),
}


@pytest.mark.parametrize(
    ("file", "kind", "more"), [("render-cron.yaml", "cron", {"schedule"}), ("render-ui.yaml", "worker", {"disk"})]
)
def test_a_blueprint_of_render_has_the_documented_fields_and_our_variables(
    file: str, kind: str, more: set[str]
) -> None:
    blueprint = yaml.safe_load((DEPLOY / file).read_text())
    assert set(blueprint) == {"services"}
    for service in blueprint["services"]:
        assert service["type"] == kind
        assert more <= set(service) <= FIELDS | more
        for variable in service["envVars"]:
            assert variable["key"] in {*environment.DEFAULTS, "PYTHON_VERSION"}
            assert set(variable) in ({"key", "value"}, {"key", "sync"})
        values = {variable["key"]: variable.get("value") for variable in service["envVars"]}
        # A cron job has no disk, and the other's is for var/.
        assert values["GAZELLE_TOKEN_FILE"] == "postgres"
        environment.parse_zone(values["GAZELLE_TIMEZONE"])
        program, *arguments = service["startCommand"].split()
        assert program == "gazelle-sync"
        assert CliRunner().invoke(cli.main, [*arguments, "--help"]).exit_code == 0
        if kind == "worker":
            assert set(service["disk"]) == {"name", "mountPath", "sizeGB"}


# -- one machine ------------------------------------------------------------------------------------------------------


def test_systemd_takes_the_units_and_the_timer_is_at_two_in_the_companys_zone(tmp_path: Path) -> None:
    analyze = binary("systemd-analyze", "systemd")
    units = []
    # A unit would need its blanks quoted, and this project's folder may have some.
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(COMMANDS)
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/gazelle-sync", str(tmp_path)).replace("User=gazelle-sync", "User=daemon")
        (tmp_path / unit.name).write_text(text)
        units.append(tmp_path / unit.name)
    done = subprocess.run([analyze, "verify", *units], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "gazelle-sync" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
    (moment,) = re.findall(r"OnCalendar=(.*)", (DEPLOY / "systemd/gazelle-sync.timer").read_text())
    told = subprocess.run([analyze, "calendar", moment], capture_output=True, text=True, check=True).stdout
    assert "02:00:00 America/Toronto" in told


def test_the_crontab_runs_every_hour_what_runs_once_a_night_and_all_history_on_sundays() -> None:
    lines = [line for line in (DEPLOY / "crontab").read_text().splitlines() if not line.startswith("#")]
    program = "/opt/gazelle-sync/.venv/bin/gazelle-sync"
    assert lines == [f"0 * * * * {program} sync --if-due", f"30 3 * * 0 {program} sync --full"]


# What stands behind the proxy: the guard, and in place of Dagster a server that says what came.
BEHIND = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from gazelle_sync.ui.guard import Guard, own_origins

port, ui_url = sys.argv[1:]
routes = [Route("/{path:path}", lambda request: PlainTextResponse("Dagster"), methods=["GET", "POST"])]
uvicorn.run(Guard(Starlette(routes=routes), own_origins(int(port), ui_url)), port=int(port), log_level="error")
"""


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The documented nginx before the guard: its address, and its certificate."""
    nginx, openssl = binary("nginx", "nginx-light"), binary("openssl", "openssl")
    port, behind = free_port(), free_port()
    made = certificate(tmp_path)
    digest = subprocess.run([openssl, "passwd", "-apr1", "geheim"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "passwords").write_text(f"anna:{digest}")
    text = (DEPLOY / "nginx.conf").read_text()
    for ours, theirs in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/letsencrypt/live/sync.example.com/fullchain.pem": str(made),
        "/etc/letsencrypt/live/sync.example.com/privkey.pem": str(made.with_suffix(".key")),
        "/etc/nginx/gazelle-sync.htpasswd": str(tmp_path / "passwords"),
        "127.0.0.1:3000": f"127.0.0.1:{behind}",
        "server_name sync.example.com": "server_name localhost",
    }.items():
        assert ours in text
        text = text.replace(ours, theirs)
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # As root its workers are somebody else, who could not read what only root may.
    (tmp_path / "nginx.conf").write_text(
        f"user root; daemon off; pid {tmp_path}/pid; error_log {tmp_path}/errors; events {{}} "
        f"http {{ access_log off; {paths} {text} }}"
    )
    url = f"https://localhost:{port}"
    served = subprocess.Popen([COMMANDS / "python", "-c", BEHIND, str(behind), url], text=True)
    started = subprocess.Popen([nginx, "-c", tmp_path / "nginx.conf", "-p", tmp_path], text=True)
    with running(served), running(started):
        yield url, made
        # In order, or its workers stay behind.
        started.terminate()
        started.wait(10)


def test_the_reverse_proxy_lets_nobody_in_without_a_password_nor_a_foreign_page_with_one(
    proxied: tuple[str, Path],
) -> None:
    url, made = proxied

    def ask(method: str = "GET", path: str = "/server_info", **options: Any) -> requests.Response | None:
        try:
            return requests.request(method, url + path, verify=str(made), timeout=5, **options)
        except requests.ConnectionError:
            return None

    patiently(lambda: ask() is not None, "nginx to answer")
    assert ask().status_code == 401  # type: ignore[union-attr]
    assert ask(auth=("anna", "sesame")).status_code == 401  # type: ignore[union-attr]
    anna = ("anna", "geheim")

    def let_in() -> bool:
        answer = ask(auth=anna)
        return answer is not None and answer.text == "Dagster"

    patiently(let_in, "what is behind it")
    # A browser sends the password for whichever page asks.
    for headers, status in (({"Origin": url}, 200), ({"Origin": "https://elsewhere.example"}, 403)):
        assert ask("POST", "/graphql", auth=anna, headers=headers).status_code == status  # type: ignore[union-attr]
    assert ask("GET", "/graphql?query=mutation", auth=anna).status_code == 405  # type: ignore[union-attr]
    # nginx itself answers to no other name, whether TLS or the request gives it.
    assert ask(auth=anna, headers={"Host": "rebound.example"}).status_code == 421  # type: ignore[union-attr]
    with pytest.raises(requests.ConnectionError):
        requests.get(url.replace("localhost", "127.0.0.1"), verify=str(made), timeout=5, auth=anna)


# -- a cluster --------------------------------------------------------------------------------------------------------


def test_the_values_for_dagsters_chart_launch_runs_as_jobs_with_the_same_image_and_variables() -> None:
    values = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text())
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert deployment["dagsterApiGrpcArgs"][:2] == ["--module-name", "gazelle_sync.definitions"]
    assert deployment["env"] == {"GAZELLE_TOKEN_FILE": "postgres"}
    assert values["runLauncher"]["type"] == "K8sRunLauncher"
    assert values["dagsterDaemon"]["runCoordinator"]["config"] == {"queuedRunCoordinator": {"maxConcurrentRuns": 1}}
    webserver = values["dagsterWebserver"]
    assert webserver["image"] == deployment["image"]
    assert webserver["service"] == {"type": "ClusterIP", "port": 3000}
    probe = webserver["readinessProbe"]["httpGet"]
    (header,) = probe["httpHeaders"]
    assert header["value"] in own_origins(webserver["service"]["port"], environment.DEFAULTS["DAGSTER_UI_URL"])
    assert probe["port"] == webserver["service"]["port"]
    ours = yaml.safe_load((SOURCE / "dagster.yaml").read_text())
    for theirs, mine in {
        "startTimeoutSeconds": "start_timeout_seconds",
        "pollIntervalSeconds": "poll_interval_seconds",
    }.items():
        assert values["dagsterDaemon"]["runMonitoring"][theirs] == ours["run_monitoring"][mine]


# -- nothing listens to the world -------------------------------------------------------------------------------------


def listening(process: subprocess.Popen[str]) -> set[str]:
    """The addresses that a process and its children listen on."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return set()
    found = set()
    for member in family:
        try:
            connections = member.net_connections("inet")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        found |= {str(connection.laddr.ip) for connection in connections if connection.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.parametrize("command", [("sandbox",), ("dev", "--port"), ("login", "--port")], ids=lambda given: given[0])
def test_what_listens_listens_on_loopback_only(
    tmp_path: Path, emptied: Server, app: dict[str, str], command: tuple[str, ...]
) -> None:
    configured = {"SUPABASE_DB_URL": emptied.url(), **app} if command[0] == "login" else {}
    project = Project(tmp_path / "project", **{"GAZELLE_HISTORY_START": "2026-01-01", **configured})
    port = [str(free_port())] if command[-1] == "--port" else []
    with running(project.start(*command, *port)) as process:
        assert patiently(lambda: listening(process), f"{command[0]} to listen") <= {"127.0.0.1", "::1"}
        if command[0] == "dev":
            patiently(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 3, "all its processes")
            time.sleep(3)
            assert listening(process) <= {"127.0.0.1", "::1"}
        process.terminate()
        process.communicate(timeout=60)

"""`dagster dev` as somebody who knows Dagster types it, in the project's folder, with nothing configured."""

from __future__ import annotations

from pathlib import Path

from gazelle_sync_tests.daemon.instance import Instance, in_haste
from gazelle_sync_tests.project import Project


def test_dagster_dev_works_without_our_command_and_with_nothing_configured(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    in_haste(project)
    project.variables["DAGSTER_HOME"] = str(project.root)
    instance = Instance(project, "dagster", "dev", folder=project.root).start()
    try:
        run = instance.run_ended(instance.launch("users"))
        assert run["status"] == "SUCCESS"
    finally:
        # How soon Dagster's own command ends, once it is asked to, is not ours: on a busy machine, not in a minute.
        instance.crash()
    assert list((project.root / "var/dagster").rglob("runs.db"))
    assert (project.root / "var/postgres").is_dir()

"""A working copy of the project, for tests that change files or call the tools in it."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process for each core already; read when torch is loaded

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from tiny import TINY, done

from lasnn.pipeline import dvc_yaml
from lasnn.plan.config import Config, whole

ROOT = Path(__file__).parents[1]
PARTS = ("workflow", "lasnn", "notebooks", "config.yaml", "config", "environment.yml", "pyproject.toml")
DOTTED = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")


def copy_project(folder):
    for part in (*PARTS, *DOTTED):
        source, copy = ROOT / part, folder / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    return folder


@pytest.fixture
def copy_of_project(tmp_path):
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def git():
    """git(folder, *words): its standard output."""

    def call(folder, *words):
        command = ["git", "-C", folder, "-c", "user.name=nobody", "-c", "user.email=nobody@example.org", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return call


@pytest.fixture(scope="session")
def finished(tmp_path_factory, git):
    """A checkout with all tables of the tiny preset, recorded in DVC. Its tests only look at it, or copy it."""
    folder = copy_project(tmp_path_factory.mktemp("finished") / "project")
    content = whole(folder / "config.yaml") | {"preset": "tiny", "presets": {"tiny": TINY}}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    shutil.rmtree(folder / "config")  # of no other preset
    (folder / "dvc.yaml").write_text(dvc_yaml.text(Config(content).preset()))
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    (folder / "said.txt").write_text(done(folder, "--cores", 2, "tables").stderr)
    return folder


@pytest.fixture(autouse=True, scope="session")
def signals():
    """A shell that starts the tests in the background has them ignore SIGINT, nohup SIGHUP; tests send both."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

"""A working copy of the project, for tests that change files or call the tools in it."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process for each core already; read when torch is loaded

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from tiny import TINY, copy_project, done, write_yaml

from lasnn.pipeline import dvc_yaml
from lasnn.plan.config import Config, whole


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
def once(tmp_path_factory, worker_id):
    """once(name, make): a folder that `make(folder)` fills in the first of pytest's processes that needs it."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder if worker_id == "master" else folder.parent

    def made(name, make):
        note = shared / f"{name}.txt"
        with FileLock(f"{note}.lock"):
            if not note.exists():
                make(place := tmp_path_factory.mktemp(name))
                note.write_text(str(place))
        return Path(note.read_text())

    return made


@pytest.fixture(scope="session")
def finished(once, git):
    """A checkout with all tables of the tiny preset, recorded in DVC. Its tests only look at it, or copy it."""
    return once("finished", lambda folder: finish(folder / "project", git)) / "project"


def finish(folder, git):
    """All tables of the tiny preset in a new checkout; what the workflow says goes to said.txt."""
    copy_project(folder)
    content = whole(folder / "config.yaml") | {"preset": "tiny", "presets": {"tiny": TINY}}
    write_yaml(folder / "config.yaml", content)
    shutil.rmtree(folder / "config")  # of no other preset
    (folder / "dvc.yaml").write_text(dvc_yaml.text(Config(content).preset()))
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    (folder / "said.txt").write_text(done(folder, "--cores", 2, "tables").stderr)


@pytest.fixture(autouse=True, scope="session")
def signals():
    """A shell that starts the tests in the background has them ignore SIGINT, nohup SIGHUP; tests send both."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

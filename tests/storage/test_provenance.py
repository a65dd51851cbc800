"""What a run says of its making: code, packages, and the energy that meters read."""

import json
import os
import subprocess
import sys

import pytest

from lasnn.storage.commit import warning
from lasnn.storage.energy_meter import Meter


def zone(folder, number, microjoules, span=1000):
    place = folder / f"intel-rapl:{number}"
    place.mkdir(exist_ok=True)
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text(f"{span}\n")


def test_energy_is_summed_over_packages_and_a_counter_may_begin_anew(tmp_path):
    zone(tmp_path, 0, 100)
    zone(tmp_path, 1, 900)
    meter = Meter(powercap=tmp_path)
    zone(tmp_path, 0, 400)
    zone(tmp_path, 1, 50)  # 100 up to the end of its range, then 50
    assert meter.joules() == pytest.approx({"cpu_packages": (300 + 150) / 1e6})


def test_a_meter_that_cannot_be_read_is_absent(tmp_path):
    assert Meter(powercap=tmp_path).joules() == {}
    zone(tmp_path, 0, "")
    assert Meter(powercap=tmp_path).joules() == {}
    assert "gpu" not in Meter(gpu="00000000-0000-0000-0000-000000000000", powercap=tmp_path).joules()


def code_of(folder, **environment):
    """What a copy of lasnn in `folder` says of its own version."""
    code = "import json; from lasnn.storage import commit; print(json.dumps(commit.code()))"
    asked = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(asked.stdout)


@pytest.mark.parametrize(
    "name", ["", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"]
)
def test_code_is_the_commit_and_whether_it_is_clean(copy_of_project, git, tmp_path, name):
    """Whatever repository the caller's variables name, as within a hook."""
    checkout = copy_of_project
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "all")
    commit, foreign = git(checkout, "rev-parse", "HEAD"), {name: str(tmp_path)} if name else {}
    (checkout / "dvc.lock").write_text("schema: '2.0'\n")
    assert code_of(checkout, **foreign) == {"commit": commit, "clean": True}
    (checkout / "lasnn" / "extra.py").write_text("")
    assert code_of(checkout, **foreign) == {"commit": commit, "clean": False}


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("no repository", "not a git repository"),
        ("another that doesn't track it", "lies in the repository"),
        ("another that tracks it", "lies in the repository"),
        ("its own without a commit", "has no commit"),
        ("no git", "git can't be asked"),
    ],
)
def test_an_unknown_commit_says_why(copy_of_project, tmp_path, git, where, why):
    """An archive inside of another repository is not that one's commit."""
    if where != "no repository":
        git(copy_of_project if "own" in where else tmp_path, "init", "-q")
    if "tracks" in where:
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", "vendored")
    found = code_of(copy_of_project, **({"PATH": str(tmp_path)} if where == "no git" else {}))
    assert (found["commit"], found["clean"]) == (None, None)
    assert why in found["unknown"]
    assert why in warning(found)
    assert "\n" not in warning(found)

"""What a run says of its making: code, packages, and the energy that meters read."""

import json
import subprocess
import sys

import pytest

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


def code_of(folder):
    """What a copy of lasnn in `folder` says of its own version."""
    code = "import json; from lasnn.storage import provenance; print(json.dumps(provenance._code()))"
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


def test_code_is_the_commit_and_whether_it_is_clean(copy_of_project, git):
    folder = copy_of_project
    assert code_of(folder) == {"commit": None, "clean": None}
    git(folder, "init", "-q")
    assert code_of(folder) == {"commit": None, "clean": None}  # a copy that this repository doesn't track
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "dvc.lock").write_text("schema: '2.0'\n")
    assert code_of(folder) == {"commit": commit, "clean": True}
    (folder / "lasnn" / "extra.py").write_text("")
    assert code_of(folder) == {"commit": commit, "clean": False}

"""What DVC knows after a run, and how finished runs come back from it."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny import ANN, HYBRID, change, described, done, rules, sealed, snakemake, write_yaml

from lasnn.pipeline import dvc_record
from lasnn.plan.config import whole
from lasnn.storage import files

TRAINED, STUDENT = f"results/tiny/{ANN}", f"results/tiny/{HYBRID}"


def dvc(folder, *words):
    """A DVC command's result."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "dvc", *map(str, words)]
    return subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)


def recorded(folder):
    return yaml.safe_load((folder / "dvc.lock").read_text())["stages"]


@pytest.fixture
def copy(finished, tmp_path, monkeypatch):
    """A copy of the finished checkout to work in."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def clone(copy, tmp_path, git, monkeypatch):
    """A fresh clone of the finished checkout with its dvc.lock and a remote that holds everything."""
    clone = tmp_path / "clone"
    assert dvc(copy, "remote", "add", "-d", "store", tmp_path / "remote").returncode == 0
    git(copy, "add", ".dvc", "dvc.lock", "dvc.yaml")
    git(copy, "commit", "-qm", "recorded")
    assert dvc(copy, "push").returncode == 0
    git(tmp_path, "clone", "-q", copy, clone)
    monkeypatch.chdir(clone)
    return clone


def test_a_finished_workflow_is_recorded_and_clean(copy, git):
    """Recorded again, nothing changes."""
    assert "stages recorded in dvc.lock" in (copy / "said.txt").read_text()
    stages = recorded(copy)
    assert {"data-digits", "ann-digits-conv3fc2-s0", "snn-digits-conv3fc2-hybrid-poisson-T2-none-s0"} <= set(stages)
    assert {"exhibit-table1", "exhibit-table2"} <= set(stages)
    from dvc.repo import Repo

    with Repo() as repo:
        assert repo.status(targets=sorted(stages)) == {}
    outs = {entry["path"] for entry in stages["ann-digits-conv3fc2-s0"]["outs"]}
    names = ("model.pt", "metrics.json", "predictions.npz", "provenance.json", "log.jsonl", "scores.json")
    assert outs == {f"{TRAINED}/{name}" for name in names}
    assert git(copy, "status", "--porcelain", "--untracked-files=no") == ""  # but dvc.lock, which is the user's
    before = (copy / "dvc.lock").read_bytes()
    assert f"0 stages recorded in dvc.lock, {len(recorded(copy))} as they were" in dvc_record.record()
    assert (copy / "dvc.lock").read_bytes() == before
    assert rules(copy, "tables") == set()


def test_what_config_yaml_does_not_explain_is_not_recorded(copy):
    """A run made with settings of the command line, and all that rests on it."""
    change({"presets": {"tiny": {"ann": {"epochs": 2}}}})
    Path("dvc.lock").unlink()
    said = dvc_record.record()
    assert "such as ann-digits-conv3fc2-s0: made with other settings (training.epochs: 1 then, 2 now)" in said
    stages = {"data-digits", "ann-digits-vgg16bn-s0"}
    assert set(recorded(copy)) - {"exhibit-table4"} == stages  # which holds the teacher alone at this size


def test_another_preset_is_recorded_beside(copy):
    change({"presets": {"other": whole()["presets"]["tiny"]}})
    shutil.copytree("results/tiny", "results/other")
    for path in Path("results/other").rglob("metrics.json"):  # as if the other preset had made them
        sealed(path, preset="other")
        described(path.parent)
    before = (copy / "dvc.lock").read_bytes()
    assert "stages recorded in lineage/other/dvc.lock" in dvc_record.record("other")
    assert (copy / "dvc.lock").read_bytes() == before
    from dvc.repo import Repo

    with Repo() as repo:
        stages = {stage.addressing: stage for stage in repo.index.stages}
        assert repo.status(targets=["lineage/other/dvc.yaml:ann-digits-conv3fc2-s0"]) == {}
        assert "lineage/other/dvc.yaml:data-digits" not in stages  # one stage for each file


def test_a_locked_dvc_is_one_line_and_results_stay(copy):
    model = files.sha256(f"{TRAINED}/model.pt")
    Path(".dvc/tmp").mkdir(exist_ok=True)
    with open(".dvc/tmp/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = subprocess.run([sys.executable, "-m", "lasnn", "record"], capture_output=True, text=True)
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if " is at work, " not in line]
    assert line.startswith("error: lineage is not recorded: Unable to acquire lock. Most likely another DVC process is")
    assert line.endswith("then `python -m lasnn record` does it later; results are untouched")
    assert files.sha256(f"{TRAINED}/model.pt") == model


def test_clone_and_pull_train_nothing_and_changes_still_count(clone, tmp_path):
    dvc(clone, "pull", "--allow-missing")
    assert "Nothing to be done" in snakemake(clone, "--cores", 1, "tables").stderr
    changes = tmp_path / "changes.yaml"
    write_yaml(changes, {"presets": {"tiny": {"student": {"epochs": 2}}}})
    assert rules(clone, "tables", "--configfile", changes) == {"snn", "table"}
    write_yaml(changes, {"presets": {"tiny": {"scope": {"note": "Another."}}}})
    assert rules(clone, "tables", "--configfile", changes) == {"table"}
    assert rules(clone, "tables") == set()  # looking has changed nothing


def test_what_dvc_brings_is_judged_by_what_it_is(clone):
    """A lock file that names another run's checkpoint, which DVC can't know."""
    lock = recorded(clone)
    outs = {entry["path"]: entry for entry in lock["ann-digits-conv3fc2-s0"]["outs"]}
    other = {entry["path"]: entry for entry in lock["ann-digits-vgg16bn-s0"]["outs"]}
    outs[f"{TRAINED}/model.pt"]["md5"] = other["results/tiny/ann/digits/vgg16bn/base/s0/model.pt"]["md5"]
    write_yaml("dvc.lock", {"schema": "2.0", "stages": lock})
    dvc(clone, "pull", "--allow-missing")
    assert "model.pt is not the file that its provenance describes" in done(clone, "-n", "tables").stderr
    assert rules(clone, "tables") == {"ann", "converted", "snn", "table"}


def test_repro_is_a_second_door_to_the_same_bytes(finished, tmp_path, git):
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "-q", finished, folder)
    result = dvc(folder, "repro", "converted-digits-conv3fc2-poisson-s0")
    assert result.returncode == 0, result.stderr
    assert "stages recorded" not in result.stderr + result.stdout  # that is left to DVC, which is at work
    for run in ("ann/digits/conv3fc2/base/s0", "converted/digits/conv3fc2/poisson/base/s0"):
        for name in ("model.pt", "metrics.json"):
            path = f"results/tiny/{run}/{name}"
            assert files.sha256(folder / path) == files.sha256(finished / path), path
    made = files.read_json(folder / TRAINED / "provenance.json")
    assert made["files"]["model.pt"] == files.sha256(folder / TRAINED / "model.pt")


# ---- what `dvc exp apply`, `dvc checkout` or `dvc gc` take away ------------------------------------------------------


def test_recorded_runs_come_back_by_the_next_call(copy):
    """`dvc exp apply` puts another dvc.lock in place and removes what that does not name, `dvc gc -w` what it names."""
    dvc_record.record()  # the copy's files are others than the kept ones, which were linked where they were made
    before = {folder: files.sha256(f"{folder}/model.pt") for folder in (TRAINED, STUDENT)}
    stages, applied = recorded(copy), ("data-digits", "ann-digits-vgg16bn-s0")
    write_yaml("dvc.lock", {"schema": "2.0", "stages": {name: stages[name] for name in applied}})
    for folder in (TRAINED, STUDENT, "results/tiny/converted", ".dvc/cache"):
        shutil.rmtree(folder)
    said = done(copy, "--cores", 1, f"{STUDENT}/model.pt").stderr
    assert said.count("taken from results/.kept/tiny/") == 3
    assert {folder: files.sha256(f"{folder}/model.pt") for folder in before} == before


def test_a_remote_that_dvc_has_no_package_for_costs_one_line(copy):
    """An S3 remote without dvc-s3: runs are recorded all the same, and `dvc pull` says what to install."""
    assert dvc(copy, "remote", "add", "-d", "store", "s3://bucket/folder").returncode == 0
    count = len(recorded(copy))
    Path("dvc.lock").unlink()
    assert f"{count} stages recorded" in dvc_record.record()
    shutil.rmtree(TRAINED)
    shutil.rmtree(".dvc/cache")
    refused = dvc(copy, "pull", "ann-digits-conv3fc2-s0")
    assert refused.returncode != 0
    (said,) = [line for line in refused.stderr.splitlines() if line.startswith("ERROR")]
    assert "requires 'dvc-s3' to be installed" in said

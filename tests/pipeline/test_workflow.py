"""The real Snakefile in a working copy: what it plans, what it refuses, what it reruns, and where its jobs run."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from conftest import copy_project
from tiny import done, snakemake

from lasnn.errors import InputError
from lasnn.pipeline import workflow
from lasnn.pipeline.stamp import Inputs
from lasnn.plan.config import read
from lasnn.report import TARGETS
from lasnn.storage.locks import only_writer

ROOT = Path(__file__).parents[2]
QUICK_RUN = "results/quick/snn/digits/vgg5"

TRAINED = ("hybrid", "kd_label", "lasnn_act")
TABLES = {f"results/tiny/exhibits/{name}.csv" for name in TARGETS["tables"]}


def tiny_snn(*methods):
    teachers = {"conversion": "none", "hybrid": "none"}
    runs = (f"{method}/poisson-T2/{teachers.get(method, 'vgg16bn')}" for method in methods)
    return {f"results/tiny/snn/digits/conv3fc2/{run}/base/s0" for run in runs}


def changed(folder, changes):
    """Changes of config.yaml as words of the command line."""
    path = folder / "changes.yaml"
    path.write_text(yaml.safe_dump(changes))
    return ["--configfile", path]


def plan(folder, *words):
    """What a dry run would do: (verb, what it makes) of each job."""
    shown = done(folder, "--cores", 1, "--dry-run", "--printshellcmds", *words).stdout
    jobs = Counter(re.findall(r"python -m lasnn (\w+) (\S+)", shown))
    assert set(jobs.values()) <= {1}
    return set(jobs)


def made_by(jobs, *verbs):
    return {made for verb, made in jobs if verb in verbs}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A working copy in which nothing is ever made."""
    folder = copy_project(tmp_path_factory.mktemp("untouched"))
    yield folder
    assert not (folder / "results").exists()
    assert not (folder / "data").exists()


# What is planned


def test_one_exhibit_plans_only_what_it_needs(untouched):
    jobs = plan(untouched, "results/quick/exhibits/table1.md")
    assert len(made_by(jobs, "exhibit")) == 1
    assert {made.split("/")[5] for made in made_by(jobs, "snn")} == {"lasnn_act"}


# What is refused

TYPED = {
    "target": ([f"{QUICK_RUN}/hybrid/poisson-T10/none/base/s0"], "s0/model.pt'?)"),
    "preset": (["tables", "--config", "preset=papr"], "unknown preset 'papr'"),
    "exhibit": (["results/quick/exhibits/table9.md"], "unknown exhibit 'table9'"),
    "method": ([f"{QUICK_RUN}/lasn_act/poisson-T10/vgg16bn/base/s0/model.pt"], "unknown method 'lasn_act'"),
    "no teacher": ([f"{QUICK_RUN}/lasnn_act/poisson-T10/none/base/s0/model.pt"], "'lasnn_act' needs a teacher"),
    "a needless one": ([f"{QUICK_RUN}/hybrid/poisson-T10/vgg16bn/base/s0/model.pt"], "'hybrid' needs no teacher"),
    "T=0": ([f"{QUICK_RUN}/hybrid/poisson-T0/none/base/s0/model.pt"], "0 time steps"),
    "misspelt key": (["--config", "presett=quick"], "unknown key 'presett'"),
}
CONFIGURED = {
    "misspelt key": ({"presets": {"quick": {"student": {"epohcs": 7}}}}, "unknown key 'student.epohcs'"),
    "wrong type": ({"protocol": {"student": {"epochs": "many"}}}, "student.epochs is 'many'"),
    "T=0": ({"presets": {"quick": {"scope": {"steps": {"poisson-T100": 0}}}}}, "poisson-T100 is 0"),
    "empty list": ({"protocol": {"scope": {"students": []}}}, "scope.students is []"),
    "negative rate": ({"presets": {"small": {"student": {"lr": -0.1}}}}, "student.lr is -0.1"),
}


def refused(folder, *words):
    """The one line that says why nothing is done."""
    result = snakemake(folder, "--cores", 1, *words)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout + result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    return line


@pytest.mark.parametrize("name", TYPED)
def test_refuses_what_was_typed(untouched, name):
    words, reason = TYPED[name]
    assert reason in refused(untouched, *words)


RUN = "results/quick/ann/digits/vgg5/base/s0"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (RUN, f"{RUN}/model.pt"),
        (f"{RUN}/", f"{RUN}/model.pt"),
        (f"{RUN}/console.log", f"{RUN}/model.pt"),
        (f"{ROOT}/{RUN}/model.pt", f"{RUN}/model.pt"),
        (f"{ROOT}/{RUN}", f"{RUN}/model.pt"),
        (f"{ROOT}/data/digits.npz", "data/digits.npz"),
        ("results//quick/exhibits/table2.md", "results/quick/exhibits/table2.md"),
        ("workflow/../results/quick/exhibits/figure5", "results/quick/exhibits/figure5.svg"),
        ("tabels", "tables"),
        ("results/quick/ann/digits/vgg5", None),
        ("/elsewhere/model.pt", None),
    ],
)
def test_an_unknown_target_names_the_one_that_is_meant(typed, meant):
    with pytest.raises(InputError, match=r"^unknown target ") as told:
        workflow.check_targets(read(), [typed])
    assert re.findall(r"did you mean '(.*?)'", str(told.value)) == ([meant] if meant else [])


@pytest.mark.parametrize("name", CONFIGURED)
def test_refuses_what_was_configured(untouched, tmp_path, name):
    changes, reason = CONFIGURED[name]
    assert reason in refused(untouched, *changed(tmp_path, changes))


# What is rerun


def test_tables_are_made_once(finished):
    assert {str(path.relative_to(finished)) for path in finished.glob("results/tiny/exhibits/*.csv")} == TABLES
    assert "Nothing to be done" in done(finished, "--cores", 1, "tables").stderr


def test_student_setting_reruns_trained_spiking_networks_only(finished, tmp_path):
    jobs = plan(finished, "tables", *changed(tmp_path, {"presets": {"tiny": {"student": {"epochs": 7}}}}))
    assert made_by(jobs, "data", "ann", "converted") == set()
    assert made_by(jobs, "snn") == tiny_snn(*TRAINED)
    assert made_by(jobs, "exhibit") == TABLES - {"results/tiny/exhibits/table4.csv"}  # it has no student of this size


def test_teacher_setting_reruns_that_teacher_and_its_students(finished, tmp_path):
    jobs = plan(finished, "tables", *changed(tmp_path, {"presets": {"tiny": {"teacher": {"epochs": 7}}}}))
    assert made_by(jobs, "ann") == {"results/tiny/ann/digits/vgg16bn/base/s0"}
    assert made_by(jobs, "data", "converted") == set()
    assert made_by(jobs, "snn") == tiny_snn("kd_label", "lasnn_act")


def test_note_rewrites_tables_only(finished, tmp_path):
    jobs = plan(finished, "tables", *changed(tmp_path, {"presets": {"tiny": {"scope": {"note": "Another note."}}}}))
    assert made_by(jobs, "data", "ann", "converted", "snn") == set()
    assert made_by(jobs, "exhibit") == TABLES


def test_where_things_run_or_lie_reruns_nothing(finished):
    assert plan(finished, "tables", "--config", "device=cpu", "mirror=elsewhere") == set()


def test_newer_file_with_the_same_content_reruns_nothing(finished):
    for model in finished.glob("results/tiny/ann/**/model.pt"):
        model.touch()
    assert plan(finished, "tables") == set()


# Where jobs run


def test_use_conda_without_conda(copy_of_project):
    folder = copy_of_project
    result = done(folder, "--cores", 1, "--use-conda", "data/digits.npz")
    said = [line for line in result.stderr.splitlines() if "interpreter that runs Snakemake" in line]
    assert len(said) == 1
    assert sys.executable in said[0]
    assert (folder / "data" / "digits.npz").exists()
    assert not list(folder.glob(".snakemake/conda/*"))


def test_use_conda_with_the_double(copy_of_project):
    folder = copy_of_project
    result = done(folder, "--cores", 1, "--use-conda", "data/digits.npz", doubles=True)
    assert "interpreter that runs Snakemake" not in result.stderr
    assert (folder / "data" / "digits.npz").exists()
    (asked,) = folder.glob(".snakemake/conda/*/asked.json")
    assert json.loads(asked.read_text()) == yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert asked.with_name("used").exists()
    assert plan(folder, "data/digits.npz") == set()  # going from conda to no conda is no reason to make a file again


# ---- two at once, killed, and a broken configuration -----------------------------------------------------------------


@pytest.fixture
def alone(copy_of_project):
    return copy_of_project


def test_a_killed_workflow_goes_on_after_unlock(alone):
    """kill -9 of snakemake alone: its lock stays, one line says how to go on, and the job goes on as an orphan."""
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "data/digits.npz"],
        cwd=alone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout:
        if "Preparing digits" in line:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    assert list((alone / ".snakemake" / "locks").iterdir())
    refused = snakemake(alone, "--cores", "1", "data/digits.npz")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(
        "error: a killed snakemake left its lock here: `snakemake --unlock` removes it, then run this again"
    )
    done(alone, "--unlock")
    for _ in range(50):  # the orphan holds the data file's own lock while it lives
        again = snakemake(alone, "--cores", "1", "data/digits.npz")
        if "is being made by another process" not in again.stderr + again.stdout:
            break
    assert again.returncode == 0, again.stderr
    assert (alone / "data" / "digits.npz").exists()


@pytest.mark.parametrize(
    ("made", "lock"),
    [
        (f"{RUN}/model.pt", f"{RUN}/.lock"),
        (f"{QUICK_RUN}/hybrid/poisson-T10/none/base/s0/model.pt", f"{QUICK_RUN}/hybrid/poisson-T10/none/base/s0/.lock"),
        (
            "results/quick/converted/digits/vgg5/poisson/base/s0/model.pt",
            "results/quick/converted/digits/vgg5/poisson/base/s0/.lock",
        ),
        ("data/digits.npz", "data/.digits.npz.lock"),
    ],
)
def test_a_job_that_is_at_work_is_asked_for_its_lock_before_its_log_goes(tmp_path, monkeypatch, made, lock):
    """As after a killed call on a cluster: Snakemake removes the log of whatever it is about to make."""
    config = read()
    monkeypatch.chdir(tmp_path)
    inputs = Inputs(config, list, print)
    with only_writer(lock, "it"):
        with pytest.raises(InputError, match=rf"by another process \(number {os.getpid()}\): wait for it"):
            inputs.before_the_first_job([["results/quick/exhibits/table2.csv"], [made]])
        assert Path(lock).exists()
    Path(lock).touch()  # of a dead process
    inputs.before_the_first_job([["results/quick/exhibits/table2.csv"], [made]])


def test_a_second_workflow_in_the_folder_gets_one_line(alone):
    """The first one is played by its two locks, Snakemake's and ours: one line; a dry run passes."""
    (alone / ".snakemake" / "locks").mkdir(parents=True)
    (alone / ".snakemake" / "locks" / "0.output.lock").write_text("data/digits.npz\n")
    with only_writer(alone / ".snakemake" / "lasnn.lock", "it"):
        busy = snakemake(alone, "--cores", "1", "data/digits.npz")
        looking = snakemake(alone, "-n", "data/digits.npz")
    assert busy.returncode == 1
    assert [line for line in busy.stderr.splitlines() if "error" in line.lower()] == [
        f"error: another snakemake is at work in this folder (number {os.getpid()}): wait for it, or end it with "
        f"`kill {os.getpid()}`, which saves first, and run this again"
    ]
    assert looking.returncode == 0, looking.stderr
    assert not (alone / "data").exists()
    assert (alone / ".snakemake" / "locks" / "0.output.lock").exists()


def test_a_broken_configuration_is_one_line(alone):
    (alone / "config.yaml").write_text("preset: [quick")
    result = snakemake(alone, "-n", "tables")
    assert result.returncode == 1
    profile, line = result.stderr.strip().splitlines()
    assert profile.startswith("Using workflow specific profile")
    assert line.startswith("error: config.yaml is not YAML")


def test_jobs_may_keep_byte_code(monkeypatch, tmp_path):
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    workflow.keep_byte_code()
    assert "PYTHONPYCACHEPREFIX" not in os.environ
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    workflow.keep_byte_code()
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ
    code = "import sys; print(sys.dont_write_bytecode, sys.pycache_prefix)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", str(tmp_path / "lasnn" / "bytecode")]

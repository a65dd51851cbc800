"""The real Snakefile in a working copy: what it plans, what it refuses, what it reruns, and where its jobs run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny import copy_project, done, plan, snakemake

from lasnn.errors import InputError
from lasnn.pipeline import workflow
from lasnn.pipeline.stamp import Inputs
from lasnn.plan.config import read
from lasnn.results import progress
from lasnn.storage.locks import only_writer

ROOT = Path(__file__).parents[2]
QUICK_RUN = "results/quick/snn/digits/vgg5"


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A working copy in which nothing is ever made."""
    folder = copy_project(tmp_path_factory.mktemp("untouched"))
    yield folder
    assert not (folder / "results").exists()
    assert not (folder / "data").exists()


@pytest.fixture(scope="module")
def config():
    """config.yaml, read once."""
    return read()


def test_one_exhibit_plans_only_what_it_needs(untouched):
    jobs = plan(untouched, "results/quick/exhibits/table1.md")
    assert [verb for verb, _ in jobs].count("exhibit") == 1
    assert {made.split("/")[5] for verb, made in jobs if verb == "snn"} == {"lasnn_act"}


TYPED = {
    "tables --config preset=papr": "unknown preset 'papr'",
    f"{QUICK_RUN}/lasnn_act/poisson-T10/none/base/s0/model.pt": "'lasnn_act' needs a teacher",
    "--configfile misspelt.yaml": "unknown key 'student.epohcs'",
}


@pytest.mark.parametrize("words", TYPED)
def test_what_was_typed_or_configured_is_refused_in_one_line(untouched, words):
    """Of each kind one; tests/plan has them all."""
    (untouched / "misspelt.yaml").write_text("presets: {quick: {student: {epohcs: 7}}}")
    assert TYPED[words] in refused(untouched, *words.split())


def refused(folder, *words):
    """The one line that says why nothing is done."""
    result = snakemake(folder, "--cores", 1, *words)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout + result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "error" in line.lower()]
    assert line.startswith("error:")
    return line


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
def test_an_unknown_target_names_the_one_that_is_meant(config, typed, meant):
    with pytest.raises(InputError, match=r"^unknown target ") as told:
        workflow.check_targets(config, [typed])
    assert re.findall(r"did you mean '(.*?)'", str(told.value)) == ([meant] if meant else [])


def test_an_exhibit_that_a_preset_does_not_plan_names_the_presets_that_do(config):
    with pytest.raises(InputError, match=r"^preset 'few_steps' plans no run that table1 shows: .* small"):
        workflow.check_targets(config, ["results/few_steps/exhibits/table1.md"])
    workflow.check_targets(config, ["results/few_steps/exhibits/figure1.svg"])  # drawn from the plan


# Where jobs run


def test_use_conda_without_conda_and_with_its_double(copy_of_project):
    folder, images = copy_of_project, copy_of_project / "data" / "digits.npz"
    result = done(folder, "--cores", 1, "--use-conda", "data/digits.npz")
    (said,) = [line for line in result.stderr.splitlines() if "interpreter that runs Snakemake" in line]
    assert sys.executable in said
    assert not list(folder.glob(".snakemake/conda/*"))
    images.unlink()
    result = done(folder, "--cores", 1, "--use-conda", "data/digits.npz", doubles=True)
    assert "interpreter that runs Snakemake" not in result.stderr
    assert images.exists()
    (asked,) = folder.glob(".snakemake/conda/*/asked.json")
    assert json.loads(asked.read_text()) == yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert asked.with_name("used").exists()
    assert plan(folder, "data/digits.npz") == set()  # going from conda to no conda is no reason to make a file again


# ---- two at once, killed, and a broken configuration -----------------------------------------------------------------


def test_a_killed_workflow_goes_on_after_unlock(copy_of_project):
    """kill -9 of snakemake alone: its lock stays, one line says how to go on, and the job goes on as an orphan."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "data/digits.npz"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=copy_of_project, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if "Preparing digits" in line:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    assert list((copy_of_project / ".snakemake" / "locks").iterdir())
    expected = "error: a killed snakemake left its lock here: `snakemake --unlock` removes it, then run this again"
    assert refused(copy_of_project, "data/digits.npz").startswith(expected)
    done(copy_of_project, "--unlock")
    for _ in range(50):  # the orphan holds the data file's own lock while it lives
        again = snakemake(copy_of_project, "--cores", "1", "data/digits.npz")
        if "is being made by another process" not in again.stderr + again.stdout:
            break
    assert again.returncode == 0, again.stderr
    assert (copy_of_project / "data" / "digits.npz").exists()


LOCKS = {"data/digits.npz": "data/.digits.npz.lock"}
for one in (RUN, f"{QUICK_RUN}/hybrid/poisson-T10/none/base/s0", "results/quick/converted/digits/vgg5/poisson/base/s0"):
    LOCKS[f"{one}/model.pt"] = f"{one}/.lock"


@pytest.mark.parametrize(("made", "lock"), LOCKS.items())
def test_a_job_that_is_at_work_is_asked_for_its_lock_before_its_log_goes(config, tmp_path, monkeypatch, made, lock):
    """As after a killed call on a cluster: Snakemake removes the log of whatever it is about to make."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(progress.PASSED, "")  # which the call sets, for the jobs of its process
    inputs = Inputs(config, list, print)
    with only_writer(lock, "it"):
        with pytest.raises(InputError, match=rf"by another process \(number {os.getpid()}\): wait for it"):
            inputs.before_the_first_job([["results/quick/exhibits/table2.csv"], [made]])
        assert Path(lock).exists()
    Path(lock).touch()  # of a dead process
    inputs.before_the_first_job([["results/quick/exhibits/table2.csv"], [made]])


def test_a_second_workflow_in_the_folder_gets_one_line(copy_of_project):
    """The first one is played by its two locks, Snakemake's and ours: one line; a dry run passes."""
    (copy_of_project / ".snakemake" / "locks").mkdir(parents=True)
    (copy_of_project / ".snakemake" / "locks" / "0.output.lock").write_text("data/digits.npz\n")
    with only_writer(copy_of_project / ".snakemake" / "lasnn.lock", "it"):
        busy = refused(copy_of_project, "data/digits.npz")
        looking = snakemake(copy_of_project, "-n", "data/digits.npz")
    assert busy.startswith(f"error: another snakemake is at work in this folder (number {os.getpid()}): wait for it, ")
    assert busy.endswith(f" `kill {os.getpid()}`, which saves first, and run this again")
    assert looking.returncode == 0, looking.stderr
    assert not (copy_of_project / "data").exists()
    assert (copy_of_project / ".snakemake" / "locks" / "0.output.lock").exists()


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

"""What is read of Slurm, and what is said when it refuses: by doubles of its programs; tests/slurm has a real one."""

import importlib.util
import json
import os
import re
from argparse import Namespace
from pathlib import Path

import pytest
from tiny import message_of, snakemake

from lasnn.errors import InputError
from lasnn.pipeline import needs, slurm
from lasnn.plan.config import Config, whole
from lasnn.plan.runs import parse
from lasnn.storage import files

ROOT = Path(__file__).parents[2]
DOUBLES = ROOT / "tests" / "doubles" / "slurm"
ANN, VGG9 = (parse(f"ann/digits/{name}/base/s0") for name in ("vgg5", "vgg9"))


@pytest.fixture
def queue(monkeypatch, tmp_path):
    """queue(file, text): what a program of Slurm finds."""
    monkeypatch.setenv("PATH", f"{DOUBLES}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_DOUBLE", str(tmp_path))
    for name in ("SBATCH_PARTITION", "SBATCH_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    nodes = ("cpu*|1-00:00:00|64000+|(null)", "gpu|4:00:00|128000|gpu:a100:4(S:0-1)", "gpu|4:00:00|256000|gpu:2,fan:1")
    said = {"sinfo": "\n".join(nodes) + "\n", "accounting": "none\n", "sacct": "exit 0\n", "squeue": ""}
    for name, text in said.items():
        (tmp_path / name).write_text(text)
    return lambda name, text: (tmp_path / name).write_text(text)


def typed(executor="slurm", dryrun=False, set_resources=None, **defaults):
    return Namespace(
        executor=executor,
        dryrun=dryrun,
        set_resources={rule: {"gpu": Namespace(raw=count)} for rule, count in (set_resources or {}).items()},
        default_resources={name: Namespace(raw=word) for name, word in defaults.items()},
    )


def test_time_limits():
    limits = {"infinite": None, "1:00": 1, "0:30": 1, "30:00": 30, "2:00:00": 120, "1-12:30:00": 2190, "n/a": None}
    assert {limit: slurm.minutes_of(limit) for limit in limits} == limits


def test_a_partition_is_what_its_largest_nodes_have(queue):
    assert slurm.partition("gpu") == slurm.Partition("gpu", 240, 256000, 4)
    assert slurm.partition("cpu") == slurm.Partition("cpu", 1440, 64000, 0)
    assert slurm.partition("cpu,gpu").minutes == 240
    assert slurm.partition("gpu").at_most(60) == 60
    assert slurm.partition("gpu").at_most(10**6) == 240


def test_the_default_partition_and_slurms_own_variables(queue, monkeypatch):
    assert slurm.asked_for() == {"slurm_partition": "cpu"}
    monkeypatch.setenv("SBATCH_PARTITION", "gpu")
    monkeypatch.setenv("SBATCH_ACCOUNT", "lab")
    assert slurm.asked_for() == {"slurm_partition": "gpu", "slurm_account": "lab"}


@pytest.mark.parametrize(
    ("sacct", "told"),
    [
        ("exec sleep 60", "says nothing for 0.5 s"),
        ("echo Connection refused >&2; exit 1", "Connection refused"),
        ("kill $$", "failed"),
    ],
)
def test_accounting_that_does_not_answer_is_not_relied_on(queue, monkeypatch, capsys, sacct, told):
    monkeypatch.setattr(slurm, "PATIENCE", 0.5)
    assert not slurm.has_accounting()  # there is none
    queue("accounting", "slurmdbd")
    assert slurm.has_accounting()
    queue("sacct", sacct)
    assert not slurm.has_accounting()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"warning: Slurm's accounting doesn't answer \(.*{told}\): squeue is asked instead", line)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """planned(text): the preset quick, fresh, with this as its saved plan."""
    monkeypatch.chdir(tmp_path)
    content = whole(ROOT / "config.yaml")

    def saved(text):
        preset = Config(content).preset("quick")
        files.write_text(needs.plan_file(preset), text)
        return preset

    return saved


@pytest.mark.parametrize(
    ("hours", "limit", "more"),
    [
        ({ANN: 86}, 720, 14),
        ({ANN: 5}, 720, 0),
        ({ANN: 1, VGG9: 30}, 720, 5),
        ({}, 720, 0),
        ({ANN: 0.1}, 1, 11),
    ],
)
def test_a_run_that_a_partition_interrupts_has_the_attempts_that_it_takes(planned, hours, limit, more):
    """Twice what was planned, over what of the partition's limit (in minutes) is left after five minutes of start."""
    preset = planned(json.dumps({"seconds": {str(run): 3600 * value for run, value in hours.items()}}))
    assert needs.attempts_more([(preset, run) for run in (ANN, VGG9)], limit) == more


@pytest.mark.parametrize(
    ("saves", "counted"),
    [("nnnn", [1, 2, 3, 4]), ("nsss", [1, 1, 1, 1]), ("snns", [1, 2, 3, 3]), ("nsns", [1, 1, 2, 2])],
)
def test_an_attempt_that_saved_something_does_not_count(tmp_path, saves, counted):
    """s: a save (of the first: before it began), n: none. Memory grows with those that count."""
    attempts, state = slurm.Attempts(), tmp_path / "resume.pt"
    for number, (save, expected) in enumerate(zip(saves, counted, strict=True), 1):
        if save == "s":
            state.touch()
            os.utime(state, (number, number))
        assert [attempts.counted(str(tmp_path), number) for _ in range(3)] == [expected] * 3


def test_slurm_is_asked_before_anything_is_submitted(queue, tmp_path):
    where = slurm.survey(typed(slurm_partition="gpu", slurm_account="lab"), cards_wanted=True)
    assert where.cards == 4
    asked = (tmp_path / "asked").read_text()
    assert asked == "--test-only --partition gpu --time 1 --mem 1000 --account lab --gpus=1 --wrap true\n"


@pytest.mark.parametrize(
    ("refusal", "options", "expected"),
    [
        (
            "Invalid account or account/partition combination specified",
            {"slurm_partition": "cpu", "slurm_account": "nono"},
            r"\(partition cpu, account nono\): .*: set SBATCH_ACCOUNT to lab",
        ),
        (
            "Requested node configuration is not available",
            {"slurm_partition": "gpu", "set_resources": {"ann": "9"}},
            r"\(partition gpu, no account, 9 GPUs\): .*: ask for 4 GPUs at most",
        ),
        (None, {"slurm_partition": "nono"}, "no partition 'nono': set SBATCH_PARTITION to one of cpu, gpu"),
        (None, {}, "no partition is Slurm's default here: set SBATCH_PARTITION to one of cpu, gpu"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_set(queue, refusal, options, expected):
    if refusal:
        queue("refusal", f"sbatch: error: something first\nallocation failure: {refusal}\n")
    assert re.search(expected, message_of(slurm.survey, typed(**options), True))


def test_jobs_that_a_killed_call_left_are_named(queue):
    queue("squeue", f"7|rule_ann_wildcards_x|{Path.cwd()}\n8|rule_ann|/elsewhere\n9|my own|{Path.cwd()}\n")
    with pytest.raises(InputError, match=r"jobs of an earlier call are at work in this folder: .* 7, or `scancel 7`"):
        slurm.survey(typed(slurm_partition="cpu"), True)
    assert slurm.survey(typed(slurm_partition="cpu", dryrun=True), True)  # a look disturbs nothing


def test_minutes_come_from_a_saved_plan_and_grow_with_each_attempt(planned):
    """And so does memory."""
    preset = planned('{"seconds": {"ann/digits/vgg5/base/s0": 600}}')
    assert needs.minutes(preset, ANN) == 25  # twice ten minutes, and five to start
    assert needs.minutes(preset, VGG9) == 60  # not in the plan
    assert needs.minutes(planned("{"), ANN) == 60
    needs.plan_file(preset).unlink()
    preset = Config(preset.config.content).preset("quick")
    assert [needs.minutes(preset, ANN, attempt) for attempt in (1, 2, 3)] == [60, 180, 540]
    first, second = (needs.memory_mb(preset, ANN, False, attempt) for attempt in (1, 2))
    assert second == pytest.approx(2 * first, abs=1)


def test_where_nothing_can_be_submitted_a_line_says_what_is_lacking(queue, monkeypatch, tmp_path):
    found = {slurm.PLUGIN: None}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found.get(name, "found"))
    with pytest.raises(SystemExit, match=r"^error: snakemake-executor-plugin-slurm is not installed: .*--group slurm "):
        slurm.check_tools()
    found.clear()
    slurm.check_tools()
    (tmp_path / "sinfo").unlink()
    with pytest.raises(SystemExit, match=r"^error: Slurm doesn't answer "):
        slurm.check_tools()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^error: no Slurm here \(sinfo is not on PATH\)"):
        slurm.check_tools()


def test_the_profile_without_slurm_or_its_plugin_is_one_line(copy_of_project, monkeypatch):
    """Whichever of the three is lacking here; a real Slurm on this machine gets a configuration that names none."""
    monkeypatch.setenv("SLURM_CONF", os.devnull)
    result = snakemake(copy_of_project, "-n", "--workflow-profile", "workflow/profiles/slurm", "tables")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    lacking = ("is not installed: write `uv run --locked --group slurm", "sinfo is not on PATH", "Slurm doesn't answer")
    assert any(words in line for words in lacking), line

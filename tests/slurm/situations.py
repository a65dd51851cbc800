"""What may happen to a workflow on a cluster: each ends as docs/commands.md says, or raises AssertionError."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from .cluster import asked, wait_for
from .project import ANN, MODEL, PROFILE, QUICKLY, Project


def errors(said: str) -> list[str]:
    """Lines that begin with `error:`."""
    return [line for line in said.splitlines() if line.startswith("error:")]


def refused(project: Project, expected: str, *words: str, **environment: str) -> str:
    """The one line with which a call ends before anything is submitted."""
    status, said = project.call(*PROFILE, MODEL, *words, **environment)
    assert status != 0, said
    assert "Traceback" not in said, said
    assert not project.jobs(), said
    (line,) = errors(said)
    assert re.search(expected, line), line
    return line


def tables(project: Project, expected: dict[str, str]) -> str:
    """All tables, the trainings as jobs: as many as there are runs, and the same bytes as on one machine."""
    said, jobs = project.makes("tables"), len(project.jobs())
    assert project.digests() == expected, "bytes differ"
    assert jobs == 7, said  # 2 ANNs, 1 conversion, 4 spiking networks: data and exhibits are no jobs
    return f"{jobs} jobs, {len(expected)} files of runs and exhibits equal to a local run's"


def time_limit(project: Project, expected: dict[str, str]) -> str:
    """A partition whose limit is one minute and a training that takes longer."""
    # A busy machine needs more minutes than an idle one.
    said = project.makes(MODEL, "--retries", "30", SBATCH_PARTITION="short")
    jobs, saved = len(project.jobs()), project.saved()
    assert jobs > 1, "the limit was not met: more epochs are needed (--long)"
    assert "TIMEOUT" in said or "TIME LIMIT" in said, said
    project.ended(expected, saved)
    return f"TIMEOUT after a minute, saved after {saved}, job {jobs} went on from there: same bytes"


def cancelled(project: Project, expected: dict[str, str]) -> str:
    """`scancel` of one job by its user: it saves; the next attempt goes on."""
    process = project.training()
    asked("scancel", project.jobs()[0])
    assert process.wait() == 0, project.said()
    assert len(project.jobs()) == 2, project.said()
    project.ended(expected, saved := project.saved())
    return f"saved after {saved}; the second attempt went on from there: same bytes"


def requeued(project: Project, expected: dict[str, str]) -> str:
    """`scontrol requeue`, as after a lost node or for a job of higher priority: same number, goes on."""
    process = project.training()
    (job,) = project.jobs()
    asked("scontrol", "requeue", job)
    # A job that was put back waits for two minutes by default.
    wait_for(lambda: "PENDING" in asked("scontrol", "show", "job", job), "the job's return to the queue")
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)
    assert process.wait() == 0, project.said()
    assert project.jobs() == [job], project.said()
    project.ended(expected, "")
    return "the same job went on: same bytes"


def interrupted(project: Project, expected: dict[str, str]) -> str:
    """Ctrl-C: jobs are cancelled and save; the same command goes on."""
    process = project.training()
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    wait_for(lambda: not asked("squeue", "-h"), "the end of the cancelled job", 60)
    saved = project.saved()
    project.makes(MODEL)
    project.ended(expected, saved)
    return f"saved after {saved}, no job left; the same command went on from there: same bytes"


def killed(project: Project, expected: dict[str, str]) -> str:
    """kill -9 of Snakemake: its jobs go on; a call names its lock, then them; when they have ended it takes the run."""
    process = project.training()
    (job,) = project.jobs()
    process.kill()
    process.wait()
    refused(project, "a killed snakemake left its lock here: `snakemake --unlock` removes it")
    assert project.call("--unlock")[0] == 0, project.said()
    line = refused(project, rf"jobs of an earlier call are at work in this folder: .* {job}.*scancel {job}")
    wait_for(lambda: not asked("squeue", "-h"), "the end of the job", 300)
    said = project.makes(MODEL)
    assert not project.jobs(), said
    project.same(expected)
    return line


def defect(project: Project) -> str:
    """A job that can't go well (its loss grows beyond bounds): every attempt says why, and where its log lies."""
    status, said = project.call(*PROFILE, *QUICKLY, MODEL, "--retries", "0")
    assert status != 0, said
    (line,) = {line for line in said.splitlines() if "error: training diverged" in line}
    assert "console.log" in said, said
    assert ".snakemake/slurm_logs" in said, said
    return line


def memory_limit(project: Project, expected: dict[str, str]) -> str:
    """Too little memory at first: the next attempts ask for twice as much."""
    said = project.makes(MODEL, "--set-resources", "ann:mem_mb=300*2**attempt")
    jobs = len(project.jobs())
    assert jobs > 1, said
    project.same(expected)
    return f"{jobs} attempts, the last with {300 * 2**jobs} MB: same bytes"


def _limited(project: Project, planned: float, limit: str) -> str:
    """What Slurm is asked for a training that a saved plan gives so many seconds."""
    plan = project.run("plan.json")
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"seconds": {ANN: planned}}))
    process = project.training()
    shown = asked("scontrol", "show", "job", project.jobs()[0])
    process.send_signal(signal.SIGINT)
    process.wait()
    wait_for(lambda: not asked("squeue", "-h"), "the end of the cancelled job", 60)
    assert f"TimeLimit={limit}" in shown, shown
    return f"a plan of {planned} s: TimeLimit={limit}"


def more_than_there_is(project: Project) -> str:
    """A plan beyond the partition's limit: asked for is what there is, else the job would wait for ever."""
    return _limited(project, 1_000_000, "01:00:00")


def planned(project: Project) -> str:
    """With a saved plan a job asks for what it needs."""
    return _limited(project, 30, "00:06:00")  # 5 minutes and twice 30 s


def card(project: Project, expected: dict[str, str]) -> str:
    """A cluster with cards: a training asks for one, and Slurm says which."""
    process = project.training()
    shown = asked("scontrol", "show", "job", "-d", project.jobs()[0])
    number = json.loads((project.run(ANN) / ".lock").read_text())["process"]  # that of the run's python
    words = Path(f"/proc/{number}/environ").read_bytes().decode().split("\0")
    assert process.wait() == 0, project.said()
    assert re.search(r"gres/gpu[=:]1|GRES=gpu:1", shown), shown
    (seen,) = [word for word in words if word.startswith("CUDA_VISIBLE_DEVICES=")]
    project.same(expected)
    return f"gres/gpu=1, {seen}"


# Bad input: one line, nothing submitted. What Slurm has no part in is tried by tests/pipeline/test_slurm.py.


def no_controller(project: Project) -> str:
    """Slurm's programs are there, but it doesn't answer."""
    return refused(project, "Slurm doesn't answer", SLURM_CONF=os.devnull)


def wrong_account(project: Project) -> str:
    """An account that Slurm doesn't know, where it keeps accounts."""
    return refused(project, "Invalid account.*set SBATCH_ACCOUNT to lab", SBATCH_ACCOUNT="nono")


def too_many_cards(project: Project) -> str:
    """More GPUs than a node has."""
    return refused(project, "ask for [02] GPUs at most", "--set-resources", "ann:gpu=9")

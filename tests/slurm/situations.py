"""What may happen to a workflow on a cluster: each ends as docs/clusters.md says, or raises AssertionError."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from .cluster import asked, wait_for
from .project import ANN, PROFILE, QUICKLY, Project

MODEL = f"results/tiny/{ANN}/model.pt"


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


def same_ending(project: Project, expected: dict[str, str]) -> None:
    """Every file of the run is as an undisturbed local run left it."""
    assert project.digests(ANN) == expected, (project.digests(ANN), expected, project.said()[-3000:])


def tables(project: Project, expected: dict[str, str]) -> str:
    """All tables, the trainings as jobs: as many as there are runs, and the same bytes as on one machine."""
    status, said = project.call(*PROFILE, *QUICKLY, "tables")
    assert status == 0, said
    assert project.digests() == expected, "bytes differ"
    jobs = len(project.jobs())
    assert jobs == 7, said  # 2 ANNs, 1 conversion, 4 spiking networks: data and exhibits are no jobs
    return f"{jobs} jobs, {len(expected)} files of runs and exhibits equal to a local run's"


def time_limit(project: Project, expected: dict[str, str]) -> str:
    """A partition whose limit is one minute and a training that takes longer."""
    # A busy machine needs more minutes than an idle one.
    status, said = project.call(*PROFILE, *QUICKLY, MODEL, "--retries", "30", SBATCH_PARTITION="short")
    assert status == 0, said
    jobs = project.jobs()
    assert len(jobs) > 1, "the limit was not met: more epochs are needed (--long)"
    assert "TIMEOUT" in said or "TIME LIMIT" in said, said
    saved = project.trained(ANN)
    assert "batch" in saved or "epoch" in saved, said
    assert f"goes on after {saved}" in project.console(ANN), project.console(ANN)
    same_ending(project, expected)
    return f"TIMEOUT after a minute, saved after {saved}, job {len(jobs)} went on from there: same bytes"


def cancelled(project: Project, expected: dict[str, str]) -> str:
    """`scancel` of one job by its user: it saves; the next attempt goes on."""
    process = project.start(*PROFILE, *QUICKLY, MODEL)
    project.until_it_trains(ANN, process)
    asked("scancel", project.jobs()[0])
    assert process.wait() == 0, project.said()
    assert len(project.jobs()) == 2, project.said()
    saved = project.trained(ANN)
    assert saved, project.said()
    assert f"goes on after {saved}" in project.console(ANN), project.console(ANN)
    same_ending(project, expected)
    return f"saved after {saved}; the second attempt went on from there: same bytes"


def requeued(project: Project, expected: dict[str, str]) -> str:
    """`scontrol requeue`, as after a lost node or for a job of higher priority: same number, goes on."""
    process = project.start(*PROFILE, *QUICKLY, MODEL)
    project.until_it_trains(ANN, process)
    (job,) = project.jobs()
    asked("scontrol", "requeue", job)
    # A job that was put back waits for two minutes by default.
    wait_for(lambda: "PENDING" in asked("scontrol", "show", "job", job), "the job's return to the queue")
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)
    assert process.wait() == 0, project.said()
    assert project.jobs() == [job], project.said()
    assert "goes on after" in project.console(ANN), project.console(ANN)
    same_ending(project, expected)
    return "the same job went on: same bytes"


def interrupted(project: Project, expected: dict[str, str]) -> str:
    """Ctrl-C: jobs are cancelled and save; the same command goes on."""
    process = project.start(*PROFILE, *QUICKLY, MODEL)
    project.until_it_trains(ANN, process)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    first = project.said()
    wait_for(lambda: not asked("squeue", "-h"), "the end of the cancelled job", 60)
    saved = re.search(r"saved after (.*?), where", project.console(ANN))
    assert saved, first + project.console(ANN)
    status, said = project.call(*PROFILE, *QUICKLY, MODEL)
    assert status == 0, said
    assert f"goes on after {saved[1]}" in project.console(ANN), project.console(ANN)
    same_ending(project, expected)
    return f"saved after {saved[1]}, no job left; the same command went on from there: same bytes"


def killed(project: Project, expected: dict[str, str]) -> str:
    """kill -9 of Snakemake: its jobs go on; a second call names them; when they have ended it takes what they made."""
    process = project.start(*PROFILE, *QUICKLY, MODEL)
    project.until_it_trains(ANN, process)
    (job,) = project.jobs()
    process.kill()
    process.wait()
    line = refused(project, rf"jobs of an earlier call are at work in this folder: .* {job}.*scancel {job}")
    wait_for(lambda: not asked("squeue", "-h"), "the end of the job", 300)
    status, said = project.call(*PROFILE, *QUICKLY, MODEL)
    assert status == 0, said
    assert not project.jobs(), said
    same_ending(project, expected)
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
    words = ("--set-resources", "ann:mem_mb=300*2**attempt")
    status, said = project.call(*PROFILE, *QUICKLY, MODEL, *words)
    assert status == 0, said
    jobs = project.jobs()
    assert len(jobs) > 1, said
    same_ending(project, expected)
    return f"{len(jobs)} attempts, the last with {300 * 2 ** len(jobs)} MB: same bytes"


def limits_of_a_job(project: Project, planned: float) -> str:
    """What Slurm is asked for a training that a saved plan gives so many seconds."""
    plan = project.run("plan.json")
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"seconds": {ANN: planned}}))
    process = project.start(*PROFILE, *QUICKLY, MODEL)
    project.until_it_trains(ANN, process)
    shown = asked("scontrol", "show", "job", project.jobs()[0])
    process.send_signal(signal.SIGINT)
    process.wait()
    wait_for(lambda: not asked("squeue", "-h"), "the end of the cancelled job", 60)
    return shown


def more_than_there_is(project: Project) -> str:
    """A plan beyond the partition's limit: asked for is what there is, else the job would wait for ever."""
    shown = limits_of_a_job(project, 1_000_000)
    assert "TimeLimit=01:00:00" in shown, shown
    return "a plan of 278 hours in a partition of one: TimeLimit=01:00:00, runs"


def planned(project: Project) -> str:
    """With a saved plan a job asks for what it needs."""
    shown = limits_of_a_job(project, 30)
    assert "TimeLimit=00:06:00" in shown, shown  # 5 minutes and twice 30 s
    return "a plan of 30 s: TimeLimit=00:06:00"


def card(project: Project, expected: dict[str, str]) -> str:
    """A cluster with cards: a training asks for one, and Slurm says which."""
    process = project.start(*PROFILE, *QUICKLY, MODEL)
    project.until_it_trains(ANN, process)
    shown = asked("scontrol", "show", "job", "-d", project.jobs()[0])
    words = Path(f"/proc/{_python_of(project)}/environ").read_bytes().decode().split("\0")
    assert process.wait() == 0, project.said()
    assert re.search(r"gres/gpu[=:]1|GRES=gpu:1", shown), shown
    (seen,) = [word for word in words if word.startswith("CUDA_VISIBLE_DEVICES=")]
    same_ending(project, expected)
    return f"gres/gpu=1, {seen}"


def _python_of(project: Project) -> int:
    """The process that holds the run's lock."""
    return json.loads((project.run(ANN) / ".lock").read_text())["process"]


# Bad input: one line, nothing submitted


def no_slurm(project: Project) -> str:
    """A machine without Slurm."""
    bare = project.folder / "bare"
    bare.mkdir(exist_ok=True)
    for name in ("bash", "sh", "which", "env", "git"):
        if shutil.which(name) and not (bare / name).exists():
            (bare / name).symlink_to(shutil.which(name))
    return refused(project, "no Slurm here .sinfo is not on PATH.", PATH=str(bare))


def no_plugin(project: Project) -> str:
    """The dependency group `slurm` is not installed: an import of the plugin fails, as without it."""
    hidden = project.folder / "hidden"
    hidden.mkdir(exist_ok=True)
    code = (
        "import importlib.util, pkgutil\n"
        "modules, spec = pkgutil.iter_modules, importlib.util.find_spec\n"
        "pkgutil.iter_modules = lambda *a, **k: (m for m in modules(*a, **k) if 'plugin_slurm' not in m.name)\n"
        "importlib.util.find_spec = lambda name, *a: None if 'plugin_slurm' in name else spec(name, *a)\n"
    )
    (hidden / "sitecustomize.py").write_text(code)
    return refused(project, "snakemake-executor-plugin-slurm is not installed.*--group slurm", PYTHONPATH=str(hidden))


def no_controller(project: Project) -> str:
    """Slurm's programs are there, but it doesn't answer."""
    return refused(project, "Slurm doesn't answer", SLURM_CONF=os.devnull)


def wrong_partition(project: Project) -> str:
    """A partition that Slurm doesn't know."""
    return refused(project, "no partition 'nono': set SBATCH_PARTITION to one of main, short", SBATCH_PARTITION="nono")


def wrong_account(project: Project) -> str:
    """An account that Slurm doesn't know, where it keeps accounts."""
    return refused(project, "Invalid account.*set SBATCH_ACCOUNT to lab", SBATCH_ACCOUNT="nono")


def too_many_cards(project: Project) -> str:
    """More GPUs than a node has."""
    return refused(project, "ask for [02] GPUs at most", "--set-resources", "ann:gpu=9")

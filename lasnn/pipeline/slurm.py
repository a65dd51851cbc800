"""What `workflow/profiles/slurm` and the Snakefile ask of Slurm: its limits, its cards, its say on our jobs.

Slurm's own variables name partition and account: SBATCH_PARTITION, SBATCH_ACCOUNT. `--default-resources
slurm_partition=gpu slurm_account=lab` does the same.
"""

import argparse
import getpass
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lasnn.errors import InputError

PLUGIN = "snakemake_executor_plugin_slurm"
PATIENCE = 30.0  # seconds; Slurm's programs themselves wait for 10 by default


@dataclass(frozen=True)
class Partition:
    """What the largest node of a partition (or of `name,name`) has, and minutes that a job may take (None: all)."""

    name: str
    minutes: int | None
    memory_mb: int
    cards: int

    def at_most(self, minutes: int) -> int:
        """Minutes that a job may ask for: beyond the limit it would wait for ever."""
        return min(minutes, self.minutes or minutes)


def check_tools() -> None:
    """SystemExit with one line if this is no place to submit from: for the profile, where nothing else is read yet."""
    if importlib.util.find_spec(PLUGIN) is None:
        name = PLUGIN.replace("_", "-")
        raise SystemExit(f"error: {name} is not installed: write `uv run --locked --group slurm snakemake ...`")
    if shutil.which("sinfo") is None:
        raise SystemExit("error: no Slurm here (sinfo is not on PATH): go to a login node, or leave the profile out")
    try:
        _partitions()
    except InputError as error:
        raise SystemExit(f"error: Slurm doesn't answer ({error}): go to a login node, or wait for it") from None


def has_accounting() -> bool:
    """Whether finished jobs can be asked for (sacct); where not, or where nobody answers, squeue has to do."""
    if "slurmdbd" not in "".join(re.findall(r"AccountingStorageType\s*=(.*)", _said("scontrol", "show", "config"))):
        return False
    try:
        _said("sacct", "--noheader", "--allocations", "--name", "lasnn")
    except (InputError, OSError) as error:
        print(f"warning: Slurm's accounting doesn't answer ({error}): squeue is asked instead", file=sys.stderr)
        return False
    return True


def asked_for() -> dict[str, str]:
    """Partition and account as Slurm's own variables name them, for the profile's default resources."""
    words = {"slurm_partition": os.environ.get("SBATCH_PARTITION"), "slurm_account": os.environ.get("SBATCH_ACCOUNT")}
    found = {name: word for name, word in words.items() if word}
    if "slurm_partition" not in found:
        default = [one.name for one in _partitions() if one.name.endswith("*")]
        if default:
            found["slurm_partition"] = default[0].rstrip("*")
    return found


def survey(options: argparse.Namespace | None, cards_wanted: bool) -> Partition | None:
    """The partition that this call of Snakemake submits to; None if it submits to none.

    InputError in one line if Slurm would refuse every training, and what must be set. `options` is what was typed and
    what the profile adds.
    """
    if options is None or options.executor != "slurm":
        return None
    defaults = options.default_resources or {}
    words = {name: _word(defaults[name]) for name in ("slurm_partition", "slurm_account") if name in defaults}
    where = partition(words.get("slurm_partition"))
    asked = [_word(asked["gpu"]) for asked in (options.set_resources or {}).values() if "gpu" in asked]
    cards = max([int(word) for word in asked if word.isdigit()], default=int(cards_wanted and where.cards > 0))
    check_job(where, words.get("slurm_account"), 1, cards)
    if not options.dryrun and (left := jobs_at_work(Path.cwd())):
        raise InputError(
            f"jobs of an earlier call are at work in this folder: wait until `squeue --me` shows none of "
            f"{', '.join(left)}, or `scancel {' '.join(left)}`, which saves first"
        )
    return where


def jobs_at_work(folder: Path) -> list[str]:
    """Slurm's numbers of this user's jobs in a folder that Snakemake submitted: what a killed one leaves behind."""
    lines = _said("squeue", "--me", "--noheader", "--format=%A|%k|%Z").splitlines()
    jobs = (line.strip().split("|", 2) for line in lines)
    return [number for number, comment, place in jobs if comment.startswith("rule_") and place == str(folder)]


def _word(resource: object) -> str:
    """A resource as it was typed; Snakemake has made an expression of it."""
    return str(getattr(resource, "raw", None) or getattr(resource, "value", resource))


def partition(names: str | None) -> Partition:
    """What there is in a partition (several, with commas between); InputError with the known names."""
    known = _partitions()
    if not names:
        raise InputError(f"no partition is Slurm's default here: set SBATCH_PARTITION to one of {_listed(known)}")
    nodes = []
    for name in names.split(","):
        own = [one for one in known if one.name.rstrip("*") == name]
        if not own:
            raise InputError(f"Slurm knows no partition {name!r}: set SBATCH_PARTITION to one of {_listed(known)}")
        nodes += own
    limits = [node.minutes for node in nodes]
    return Partition(
        names,
        None if None in limits else min(limit for limit in limits if limit is not None),
        max(node.memory_mb for node in nodes),
        max(node.cards for node in nodes),
    )


def check_job(where: Partition, account: str | None, minutes: int, cards: int) -> None:
    """Let Slurm say whether it would take such a job, without submitting it; InputError with what it says."""
    words = ["--partition", where.name, "--time", str(where.at_most(minutes)), "--mem", "1000"]
    words += ["--account", account] if account else []
    words += [f"--gpus={cards}"] if cards else []
    try:
        _said("sbatch", "--test-only", *words, "--wrap", "true")
    except InputError as error:
        said = str(error)
    else:
        return
    if cards > where.cards:
        hint = f"ask for {where.cards} GPUs at most (--set-resources), or name another partition in SBATCH_PARTITION"
    elif "account" in said.lower():
        yours = " or ".join(accounts()) or "the one that your cluster's pages name"
        hint = f"set SBATCH_ACCOUNT to {yours}"
    elif "partition" in said.lower():
        hint = f"set SBATCH_PARTITION to one of {_listed(_partitions())}"
    else:
        hint = "SBATCH_PARTITION and SBATCH_ACCOUNT say where and for whom jobs run"
    whose = f", account {account}" if account else ", no account"
    asked = f"partition {where.name.replace(',', ', ')}{whose}" + (f", {cards} GPU{'s' * (cards > 1)}" if cards else "")
    raise InputError(f"Slurm refuses our jobs ({asked}): {said}: {hint}")


def accounts() -> list[str]:
    """Accounts that this user may name; none where Slurm keeps none."""
    try:
        said = _said("sacctmgr", "-nP", "show", "assoc", f"user={getpass.getuser()}", "format=account")
    except (InputError, OSError):
        return []
    return sorted({line.strip() for line in said.splitlines() if line.strip()})


class Attempts:
    """Which number an attempt of a run counts as: those that saved further than the one before them don't count."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[int, int | None, int]] = {}  # folder -> attempt, time of its save, what it counts as

    def counted(self, folder: str, attempt: int) -> int:
        """Of the attempt that begins now, or that began when it was first asked for."""
        number, before, counted = self.seen.get(folder, (attempt, None, attempt))
        if folder not in self.seen or attempt > number:
            state = Path(folder, "resume.pt")
            saved = state.stat().st_mtime_ns if state.exists() else None
            counted += attempt - number if saved == before else 0
            self.seen[folder] = attempt, saved, counted
        return counted


def _partitions() -> list[Partition]:
    """Each kind of node of each partition, whose name has a star behind the default."""
    found = []
    for line in _said("sinfo", "--noheader", "--format=%P|%l|%m|%G").splitlines():
        name, limit, memory, resources = line.strip().split("|")
        cards = sum(int(count) for count in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", resources))
        found.append(Partition(name, minutes_of(limit), int(re.sub(r"\D", "", memory) or 0), cards))
    return found


def minutes_of(limit: str) -> int | None:
    """Minutes of Slurm's `days-hours:minutes:seconds`, in whole; None for `infinite`."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", limit)
    if match is None:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return max(1, 1440 * days + 60 * hours + minutes)


def _listed(known: list[Partition]) -> str:
    return ", ".join(dict.fromkeys(one.name.rstrip("*") for one in known))


def _said(*words: str) -> str:
    """What one of Slurm's programs prints; InputError with its last line if it fails, or if it says nothing."""
    try:
        result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise InputError(f"{words[0]} says nothing for {PATIENCE:g} s") from None
    if result.returncode:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        raise InputError(lines[-1] if lines else f"{words[0]} failed")
    return result.stdout

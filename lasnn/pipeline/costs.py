"""What a target costs before it runs: jobs, GPU-hours, hours on this device, memory, disk.

Seconds of a run are its multiply-adds times the seconds of each, as finished runs of its kind took on this device, or,
where there are none, as a timed call takes. The rest are constants: CPU seconds of calls on an Intel Xeon, rounded.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.pipeline.needs import memory_mb, plan_file
from lasnn.pipeline.notebooks import pages_of
from lasnn.plan.config import Preset
from lasnn.plan.overlays import entries
from lasnn.plan.runs import BASE, Run, SnnRun, changes
from lasnn.report import exhibits_of, files_of, runs_of_target
from lasnn.results import store
from lasnn.storage import files

if TYPE_CHECKING:
    from lasnn.training.estimate import Estimates

START = 3.7  # of a run's process before and after its own work
EXHIBIT, NOTEBOOK = 2.0, 6.0
SNAKEMAKE, JOB = 2.5, 0.6  # of Snakemake before its first job, and of Snakemake and DVC for each


def print_plan(
    preset: Preset,
    target: str,
    device: str,
    console: Console,
    quick: bool = False,
    at_once: int | None = None,
    save: bool = False,
) -> None:
    """Jobs by kind and GPU-hours of what is not finished yet; unless `quick` also hours on this device and memory.

    With `at_once` also how long that takes if so many jobs run at the same time, each on a card of its own. With `save`
    the seconds of every run are left where a queue's time limits are taken from.
    """
    if at_once is not None and at_once < 1:
        raise InputError(f"{at_once} jobs at once were asked for: at least 1 is needed")
    runs = runs_of_target(preset, target)
    lacking = [run for run in runs if not Path(preset.folder(run), "metrics.json").exists()]
    missing = [run for run in lacking if not next(store.finished(preset, run), None)]
    print(f"preset {preset.name}, target {target}: {len(runs)} runs, {len(missing)} of them to do")
    if taken := len(lacking) - len(missing):
        row("made already", f"{taken:5}   taken from another preset, or from what was replaced")
    for kind, count in sorted(Counter(map(kind_of, runs)).items()):
        row(kind, f"{count:5}")
    datasets = sorted({run.dataset for run in runs})
    row("datasets", f"{len(datasets):5}   {', '.join(datasets)}")
    row("exhibit files", f"{sum(len(files_of(preset, name)) for name in exhibits_of(target)):5}")
    if idle := idle_entries(preset):
        row("entries for no run", f"{len(idle):5}   {', '.join(idle)}")

    from lasnn.training.device import device_of  # torch is loaded here
    from lasnn.training.estimate import H100, Estimates

    estimates = Estimates(preset, device_of("cpu" if quick else device))
    work = {run: estimates.multiply_adds(run) for run in missing}
    row("GPU-hours", f"{sum(work.values()) / H100 / 3600:9.2f}   by multiply-adds, on an H100 in float32")
    if quick:
        return
    seconds = timed(estimates, runs, runs if save else missing, console)
    print_hours(preset, target, {run: seconds[run] for run in missing}, at_once)
    if missing:
        memory = max(memory_mb(preset, run, estimates.device.type == "cuda") for run in missing)
        row("memory of a job", f"{memory / 1000:9.1f} GB at most")
        row("disk", f"{4e-9 * sum(estimates.sizes(run).weights for run in missing):9.2f} GB")
    if save:
        files.write_json(plan_file(preset), {"seconds": {str(run): round(seconds[run], 1) for run in runs}})
        print(f"wrote {plan_file(preset)}, from which a queue's time limits are taken")


def idle_entries(preset: Preset) -> list[str]:
    """The preset's entries `for` some runs that mean none of those that it plans."""
    runs = runs_of_target(preset, "all")
    keys = [key for key, _ in entries(preset.config.file.presets[preset.name])]
    return [key for key in keys if not any(run.names.issuperset(key.split("+")) for run in runs)]


def row(name: str, value: str) -> None:
    """One line of a plan."""
    print(f"  {name:24} {value}", flush=True)


def kind_of(run: Run) -> str:
    """Under which runs are counted."""
    return f"{run.kind} {run.method}" if isinstance(run, SnnRun) else run.kind


def timed(estimates: "Estimates", runs: list[Run], asked: list[Run], console: Console) -> dict[Run, float]:
    """Seconds of the runs that are asked for; kinds that are among the finished `runs` need not be timed."""
    from lasnn.storage.provenance import describe

    name = describe(estimates.device)["device"]
    spent: defaultdict[Run, list[float]] = defaultdict(list)  # seconds for each multiply-add, whatever seed and variant
    for run in runs:
        path = Path(estimates.preset.folder(run), "provenance.json")
        made = files.read_json(path) if path.exists() else {}
        if made.get("device") == name and not changes(estimates.preset, run, made["settings"]):
            took = max(made["seconds"], made.get("training_seconds", 0))
            spent[replace(run, seed=0, variant=BASE)].append(took / estimates.multiply_adds(run))
    seconds = {}
    with console.progress(len(asked), f"timing on {name}:") as progress:
        for run in asked:
            known = spent.get(replace(run, seed=0, variant=BASE))
            each = sum(known) / len(known) if known else estimates.seconds_each(run)
            seconds[run] = START + each * estimates.multiply_adds(run)
            progress.step(note=str(run))
    print(f"seconds on {name}: of {len(spent)} kinds of run from finished ones, else from a timed call")
    return seconds


def print_hours(preset: Preset, target: str, seconds: Mapping[Run, float], at_once: int | None) -> None:
    """Hours by kind of job and in all, the longest run, and the wall time of so many jobs at once."""
    costs = dict.fromkeys(sorted(map(kind_of, seconds)), 0.0)
    for run, cost in seconds.items():
        costs[kind_of(run)] += cost
    pages = [[path] for path in pages_of(preset).values()] if target == "all" else []
    exhibits = absent([files_of(preset, name) for name in exhibits_of(target)])
    costs |= {"exhibits": EXHIBIT * exhibits, "notebooks": NOTEBOOK * absent(pages)}
    if jobs := len(seconds) + exhibits + absent(pages):
        costs["Snakemake and DVC"] = SNAKEMAKE + JOB * jobs
    for kind, cost in costs.items():
        row(kind, duration(cost))
    whole = sum(costs.values())
    row("all, one after another", duration(whole))
    if not seconds:
        return
    slowest = max(seconds, key=seconds.__getitem__)
    row("longest run", f"{duration(seconds[slowest])}: {slowest}")
    if at_once:
        longest, chain = longest_chain(preset, seconds)
        row(f"{at_once} at once", f"{duration(max(whole / at_once, longest))} at least")
        row("no less, with any number", f"{duration(longest)}: {' > '.join(map(str, chain))}")


def absent(made: list[list[str]]) -> int:
    """How many lack a file."""
    return sum(any(not Path(path).exists() for path in paths) for paths in made)


def longest_chain(preset: Preset, seconds: Mapping[Run, float]) -> tuple[float, list[Run]]:
    """Runs that wait for one another and take longest together; `seconds` has parents before children."""
    chains: dict[Run, tuple[float, list[Run]]] = {}
    for run, cost in seconds.items():
        before = [chains[parent] for parent in preset.parents(run) if parent in chains]
        longest, chain = max(before, default=(0.0, []))
        chains[run] = longest + cost, [*chain, run]
    return max(chains.values())


def duration(seconds: float) -> str:
    """Hours, or minutes where that is less than two hours, in a column."""
    return f"{seconds / 3600:9.2f} h" if seconds >= 7200 else f"{seconds / 60:9.1f} min"

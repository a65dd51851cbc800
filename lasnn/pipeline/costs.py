"""What a target costs before it runs: jobs, hours on this device by a short calibration, wall time, disk."""

from collections import Counter
from pathlib import Path

from lasnn.errors import InputError
from lasnn.pipeline.needs import memory_mb, plan_file
from lasnn.pipeline.overheads import exhibit_seconds, notebook_seconds, start_up_seconds, workflow_seconds
from lasnn.pipeline.schedule import critical_path, jobs_of, wall_seconds
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun
from lasnn.report import exhibits_of as exhibits
from lasnn.report import files_of, runs_of_target
from lasnn.results import store
from lasnn.storage import files

COUNTED = "trainings, looks at test images, exhibits, notebooks, Snakemake, DVC, and the start of each process"


def print_plan(
    preset: Preset, target: str, device: str, quick: bool = False, at_once: int | None = None, save: bool = False
) -> None:
    """Jobs by kind, and unless `quick` hours, memory and disk, of what is not finished yet.

    With `at_once` also how long that takes if so many jobs run at the same time, each on a card of its own. With `save`
    the seconds of every run are left where a queue's time limits are taken from.
    """
    if at_once is not None and at_once < 1:
        raise InputError(f"{at_once} jobs at once were asked for: at least 1 is needed")
    runs = runs_of_target(preset, target)
    missing = [run for run in runs if not Path(preset.folder(run), "metrics.json").exists()]
    taken = [run for run in missing if next(store.finished(preset, run), None)]
    missing = [run for run in missing if run not in taken]
    written = [path for name in exhibits(target) for path in files_of(preset, name)]
    datasets = sorted({run.dataset for run in runs})
    print(f"preset {preset.name}, target {target}: {len(runs)} runs, {len(missing)} of them to do")
    if taken:
        print(f"  {'made already':24} {len(taken):5}   taken from another preset, or from what was replaced")
    kinds = Counter(_kind(run) for run in runs)
    for kind, count in sorted(kinds.items()):
        print(f"  {kind:24} {count:5}")
    print(f"  {'datasets':24} {len(datasets):5}   {', '.join(datasets)}")
    print(f"  {'exhibit files':24} {len(written):5}")
    if quick:
        return
    import torch

    from lasnn.training.device import device_of
    from lasnn.training.estimate import Estimate

    where = device_of(device)
    on_card = where.type == "cuda"
    name = torch.cuda.get_device_name(where) if on_card else "this CPU"
    print(f"calibrating on {name} ...", flush=True)
    start, made, pages = start_up_seconds(), exhibit_seconds(preset, target), notebook_seconds(preset, target)
    estimates = {run: Estimate(preset, run, where) for run in (runs if save else missing)}
    seconds = {run: estimate.seconds() + start for run, estimate in estimates.items()}
    asked, costs = {run: seconds[run] for run in missing}, dict.fromkeys(kinds, 0.0)
    for run in missing:
        costs[_kind(run)] += seconds[run]
    before, each, after = workflow_seconds(count := len(missing) + len(made) + len(pages))
    beside = {"exhibits": sum(made.values()), "notebooks": sum(pages.values())}
    beside["Snakemake and DVC"] = before + each * count + after
    for kind, cost in [*sorted(costs.items()), *((word, cost) for word, cost in beside.items() if cost)]:
        print(f"  {kind:24} {_duration(cost)}")
    size, whole = sum(estimates[run].bytes() for run in missing), sum(costs.values()) + sum(beside.values())
    print(f"  {'all, one after another':24} {_duration(whole)} on {name}; disk {size / 1e9:.2f} GB")
    print(f"  {'':24} counted: {COUNTED}: {start:.1f} s for each of {len(missing)} runs")
    memory = max((memory_mb(preset, run, on_card) for run in missing), default=0)
    print(f"  {'memory of a job':24} {memory / 1000:9.1f} GB at most")
    if at_once:
        jobs = jobs_of(preset, asked, made, pages, each)
        longest, chain = critical_path(jobs)
        work = sum(asked.values())
        used = f"{work / 3600:.2f} GPU-hours" if on_card else f"{_duration(work).strip()}"
        wall = before + wall_seconds(jobs, at_once) + after
        print(f"  {f'{at_once} at once':24} {_duration(wall)}, all of these included; {used} of trainings")
        print(f"  {'no less, with any number':24} {_duration(longest)}: {' > '.join(chain)}")
    if save:
        words = {"device": name, "seconds": {str(run): round(value, 1) for run, value in seconds.items()}}
        files.write_json(plan_file(preset), words)
        print(f"wrote {plan_file(preset)}, from which a queue's time limits are taken")


def _duration(seconds: float) -> str:
    """Hours, or minutes where that is less than two hours, in a column."""
    return f"{seconds / 3600:9.2f} h" if seconds >= 7200 else f"{seconds / 60:9.1f} min"


def _kind(run: Run) -> str:
    return f"{run.kind} {run.method}" if isinstance(run, SnnRun) else run.kind

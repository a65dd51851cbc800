"""What a target costs before it runs: jobs, hours on this device by a short calibration, wall time, disk."""

import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

from lasnn.errors import InputError
from lasnn.pipeline.needs import memory_mb, plan_file
from lasnn.pipeline.schedule import critical_path, jobs_of, wall_seconds
from lasnn.pipeline.sharing import same_elsewhere
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun
from lasnn.report import EXHIBITS, Figure, files_of, runs_of_target
from lasnn.report import exhibits_of as exhibits
from lasnn.storage import files

COUNTED = "counted: trainings, looks at test images, the exhibits, and the start of each process"
TABLE = """
import lasnn.__main__, pandas
from lasnn.report import pages
frame = pandas.DataFrame({"a": ["b"]})
pages.document("", pages.table(frame.to_markdown())), frame.to_latex()
"""
FIGURE = """
import io, lasnn.__main__
from lasnn.report import style
style.theme()
from matplotlib import pyplot
drawing = pyplot.subplots(1, 3)[0]
drawing.savefig(io.BytesIO(), format="svg"), drawing.savefig(io.BytesIO(), format="png", dpi=200)
"""


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
    taken = [run for run in missing if same_elsewhere(preset, run)]
    missing = [run for run in missing if run not in taken]
    written = [path for name in exhibits(target) for path in files_of(preset, name)]
    datasets = sorted({run.dataset for run in runs})
    print(f"preset {preset.name}, target {target}: {len(runs)} runs, {len(missing)} of them to do")
    if taken:
        print(f"  {'of other presets':24} {len(taken):5}   taken from there, as their settings are the same")
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
    start, made = start_up_seconds(), exhibit_seconds(preset, target)
    estimates = {run: Estimate(preset, run, where) for run in (runs if save else missing)}
    seconds = {run: estimate.seconds() + start for run, estimate in estimates.items()}
    costs = dict.fromkeys(kinds, 0.0)
    for run in missing:
        costs[_kind(run)] += seconds[run]
    for kind, cost in sorted(costs.items()):
        print(f"  {kind:24} {_duration(cost)}")
    print(f"  {'exhibits':24} {_duration(sum(made.values()))}")
    size, whole = sum(estimates[run].bytes() for run in missing), sum(costs.values()) + sum(made.values())
    print(f"  {'all, one after another':24} {_duration(whole)} on {name}; disk {size / 1e9:.2f} GB")
    print(f"  {'':24} {COUNTED}: {start:.1f} s for each of {len(missing)} runs")
    memory = max((memory_mb(preset, run, on_card) for run in missing), default=0)
    print(f"  {'memory of a job':24} {memory / 1000:9.1f} GB at most")
    if at_once:
        _print_schedule(preset, target, {run: seconds[run] for run in missing}, made, at_once, on_card)
    if save:
        words = {"device": name, "seconds": {str(run): round(value, 1) for run, value in seconds.items()}}
        files.write_json(plan_file(preset), words)
        print(f"wrote {plan_file(preset)}, from which a queue's time limits are taken")


def start_up_seconds() -> float:
    """Seconds of work that a training's process takes before and after its own, measured in a process of its own."""
    return _work("import lasnn.__main__, lasnn.pipeline.kept, lasnn.training.stages as s; s.library(); s.leave")


def exhibit_seconds(preset: Preset, target: str) -> dict[str, float]:
    """Seconds of work of each exhibit that is not there: of a process that makes a small one of its kind."""
    kinds = {name: type(EXHIBITS[name]) for name in exhibits(target)}
    lacking = {name for name in kinds if any(not Path(path).exists() for path in files_of(preset, name))}
    table, figure = (_work(code) if lacking else 0.0 for code in (TABLE, FIGURE))
    return {name: figure if issubclass(kinds[name], Figure) else table for name in kinds if name in lacking}


def _work(code: str) -> float:
    """CPU seconds of a process that runs this."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _print_schedule(
    preset: Preset, target: str, seconds: dict[Run, float], made: dict[str, float], at_once: int, on_card: bool
) -> None:
    jobs = jobs_of(preset, seconds, made)
    longest, chain = critical_path(jobs)
    wall, work = wall_seconds(jobs, at_once), sum(seconds.values())
    used = f"{work / 3600:.2f} GPU-hours" if on_card else f"{_duration(work).strip()} of work"
    print(f"  {f'{at_once} at once':24} {_duration(wall)}, {len(made)} exhibits included; {used}")
    print(f"  {'no less, with any number':24} {_duration(longest)}: {' > '.join(chain)}")


def _duration(seconds: float) -> str:
    """Hours, or minutes where that is less than two hours, in a column."""
    return f"{seconds / 3600:9.2f} h" if seconds >= 7200 else f"{seconds / 60:9.1f} min"


def _kind(run: Run) -> str:
    return f"{run.kind} {run.method}" if isinstance(run, SnnRun) else run.kind

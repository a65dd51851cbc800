"""What a target costs before it runs: jobs, hours on this device by a short calibration, disk."""

from collections import Counter
from pathlib import Path

from lasnn.plan.config import Preset
from lasnn.plan.runs import SnnRun
from lasnn.report import exhibits_of as exhibits
from lasnn.report import files_of, runs_of_target


def print_plan(preset: Preset, target: str, device: str, quick: bool) -> None:
    """Jobs by kind, and unless `quick` hours and disk, of what is not finished yet."""
    runs = runs_of_target(preset, target)
    missing = [run for run in runs if not Path(preset.folder(run), "metrics.json").exists()]
    written = [path for name in exhibits(target) for path in files_of(preset, name)]
    datasets = sorted({run.dataset for run in runs})
    print(f"preset {preset.name}, target {target}: {len(runs)} runs, {len(missing)} of them to do")
    kinds = Counter(f"{run.kind} {run.method}" if isinstance(run, SnnRun) else run.kind for run in runs)
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
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "this CPU"
    print(f"calibrating on {name} ...", flush=True)
    hours = dict.fromkeys(kinds, 0.0)
    size = 0
    for run in missing:
        kind = f"{run.kind} {run.method}" if isinstance(run, SnnRun) else run.kind
        estimate = Estimate(preset, run, where)
        hours[kind] += estimate.seconds() / 3600
        size += estimate.bytes()
    for kind, value in sorted(hours.items()):
        print(f"  {kind:24} {value:9.2f} h")
    print(f"  {'all, one after another':24} {sum(hours.values()):9.2f} h on {name}; disk {size / 1e9:.2f} GB")

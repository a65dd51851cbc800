"""What the judgement of freshness costs: `python -m benchmarks.freshness`, seconds of CPU and wall for a preset's runs.

The runs are made up (metrics and provenance as a stage leaves them, a checkpoint of some bytes), so that hundreds lie
there in seconds. Compared are a first look, one at which nothing changed, and one after some runs changed.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from lasnn.datasets.preparation import prepare
from lasnn.pipeline.freshness import Judge
from lasnn.plan.config import Preset, identity, read
from lasnn.plan.runs import Run, fingerprint
from lasnn.report import runs_of_target
from lasnn.storage import files
from lasnn.storage.digests import FRESH, Digests


def main() -> None:
    """Print a line for each look."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freshness", description=__doc__)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--kilobytes", type=int, default=1000, help="size of each checkpoint")
    parser.add_argument("--changed", type=int, default=10, help="runs that change before the last look")
    options = parser.parse_args()
    config = read()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        preset = config.preset(options.preset)
        runs = runs_of_target(preset, "all")
        for dataset in {run.dataset for run in runs} & {"digits"}:
            prepare(dataset, preset.config.data_file(dataset))
        for run in runs:
            leave(preset, run, options.kilobytes)
        time.sleep(FRESH + 0.1)
        print(f"preset {preset.name}: {len(runs)} runs, checkpoints of {options.kilobytes} kB")
        look(preset, runs, "first look, everything is hashed")
        look(preset, runs, "nothing changed")
        look(preset, runs, "nothing changed, again")
        for run in runs[: options.changed]:
            leave(preset, run, options.kilobytes)
        look(preset, runs, f"{options.changed} runs written again")


def look(preset: Preset, runs: list[Run], what: str) -> None:
    """Judge all runs as a call of the workflow does, index included."""
    wall, cpu = time.monotonic(), time.process_time()
    digests = Digests(Path("index.json"))
    judge = Judge(preset, digests)
    unfit = sum(judge.run(run) is not None for run in runs)
    digests.save()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    print(f"  {what}: {cpu:.2f} s of CPU, {wall:.2f} s wall, {digests.read} facts reckoned, {unfit} runs don't fit")


def leave(preset: Preset, run: Run, kilobytes: int) -> None:
    """The files of a run that fits."""
    folder = Path(preset.folder(run))
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in (("model.pt", kilobytes), ("predictions.npz", 60)):
        (folder / name).write_bytes(str(run).encode() * (size * 1000 // len(str(run))))
    parents = {str(one): files.sha256(Path(preset.folder(one), "model.pt")) for one in preset.parents(run)}
    settings = preset.settings(run)
    data = {"dataset": run.dataset, "digest": digest_of(preset, run), "side": 32, "source": {"verified": "md5"}}
    content = {"run": identity(run), "preset": preset.name, "parents": parents, "data": data}
    content |= {"settings": settings.model_dump(mode="json"), "accuracy": 50.0, "more": list(range(300))}
    content["fingerprint"] = fingerprint(preset, run)
    files.write_json(folder / "metrics.json", content, seal=True)
    digests = {name: files.sha256(folder / name) for name in ("model.pt", "metrics.json", "predictions.npz")}
    files.write_json(folder / "provenance.json", content | {"files": digests}, seal=True)


def digest_of(preset: Preset, run: Run) -> str:
    """Of the prepared images, if there are some."""
    path = preset.config.data_file(run.dataset)
    return Judge(preset).header(path)["digest"] if Path(path).exists() else "0" * 64


if __name__ == "__main__":
    main()

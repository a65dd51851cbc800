"""Time by turns, memory in processes of its own, and the rows that say where a figure comes from."""

import gc
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from benchmarks.case import Case
from lasnn.storage import files
from lasnn.storage.provenance import describe

PACKAGES = ("torch", "torchvision", "numpy", "spikingjelly", "snntorch", "spyx", "jax")
ROOT = Path(__file__).parents[1]


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def clock(call: Callable[[], None], device: str, kind: str = "wall") -> float:
    """Seconds of one call, on the wall or of this process's CPU time."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
    began = CLOCKS[kind]()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return CLOCKS[kind]() - began


def by_turns(
    calls: dict[str, Callable[[], None]], rounds: int, device: str, kind: str = "wall"
) -> dict[str, list[float]]:
    """Seconds of each call in each round; after a warm-up all take turns, and each round starts with another one."""
    for call in calls.values():
        clock(call, device, kind)
    times, names = {name: [] for name in calls}, list(calls)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(clock(calls[name], device, kind))
    return times


def summary(times: list[float], floor: list[float] | None, ours: list[float] | None) -> dict:
    """Median and spread of one implementation, and ratios of medians."""
    median = statistics.median(times)
    row = {"rounds": len(times), "median_s": median, "min_s": min(times), "max_s": max(times)}
    for name, other in (("floor", floor), ("ours", ours)):
        row[f"ratio_to_{name}"] = median / statistics.median(other) if other else None
    return row | {"times_s": " ".join(f"{value:.4f}" for value in times)}


def apart(job: dict) -> dict:
    """What `python -m benchmarks.point` says of this job, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.point", json.dumps(job)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{job} ended with code {done.returncode}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def origin(device: str) -> dict:
    """Machine, versions, threads and load: the columns that every row ends with."""
    where = describe(torch.device(device))
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": where["device"],
        "device": device,
        "cores": where["cores"],
        "threads": torch.get_num_threads(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": where["python"],
        **versions,
        "commit": where["code"]["commit"],
        "clean": where["code"]["clean"],
    }


def columns(case: Case) -> dict:
    """The columns that name a case."""
    return {name: value for name, value in asdict(case).items() if name not in ("device", "micro_batch")}


def write(folder: Path, what: str, rows: list[dict]) -> Path:
    """Add rows to `what`.csv; earlier runs stay, told apart by their time."""
    path, table = folder / f"{what}.csv", pd.DataFrame(rows)
    if path.exists():
        table = pd.concat([pd.read_csv(path), table], ignore_index=True)
    files.write_bytes(path, table.to_csv(index=False).encode())
    return path

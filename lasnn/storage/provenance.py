"""Where a result comes from: code version, packages, device, time, memory, energy: all that may differ between runs."""

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

import torch

from lasnn.storage.energy_meter import Meter

PACKAGES = ("torch", "torchvision", "numpy", "numba", "pandas", "scikit-learn", "pillow", "snakemake", "dvc")


# What a commit does not say of the code: the generated files of DVC may have changed since, a module may be untracked.
CODE = ("lasnn", "workflow", "config.yaml", "adopted.yaml", "environment.yml", "pyproject.toml", "uv.lock")


class Cost(TypedDict):
    """What `provenance.json` says of cost."""

    started: str  # ISO 8601, UTC
    seconds: float  # of the process that ended the run; `training_seconds` counts interrupted ones too
    peak_memory_bytes: int
    peak_device_memory_bytes: NotRequired[int]
    machine_joules: NotRequired[dict[str, float]]  # of the whole machine part, whatever else ran on it


class Stopwatch:
    """Seconds, peak memory and, where a meter can be read, joules of a run, from its making on."""

    def __init__(self, device: torch.device):
        self.device, self.start = device, time.monotonic()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.meter = Meter(str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else None)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def stop(self) -> Cost:
        """What it was until now."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        cost: Cost = {"started": self.started, "seconds": time.monotonic() - self.start, "peak_memory_bytes": peak}
        if self.device.type == "cuda":
            cost["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated(self.device)
        if joules := self.meter.joules():
            cost["machine_joules"] = joules
        return cost


def describe(device: torch.device) -> dict[str, object]:
    """Code, packages and machine."""
    return {
        "code": _code(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def _code() -> dict[str, str | bool | None]:
    """The commit of the checkout and whether code or configuration differ from it; None outside of a checkout."""

    def git(*words: str) -> str | None:
        folder = Path(__file__).parents[2]
        try:
            result = subprocess.run(
                ["git", "-C", folder, *words], capture_output=True, text=True, check=True, timeout=20
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return result.stdout.strip()

    if not git("ls-files", "lasnn/storage/provenance.py"):  # a copy that lies inside somebody else's checkout
        return {"commit": None, "clean": None}
    changed = git("status", "--porcelain", "--", *CODE)
    return {"commit": git("rev-parse", "HEAD"), "clean": None if changed is None else not changed}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

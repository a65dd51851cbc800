"""Where a result comes from: code version, packages, device, time, memory: all that may differ between runs."""

import importlib.metadata
import os
import platform
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

import torch

from lasnn.storage import commit

PACKAGES = ("torch", "torchvision", "numpy", "numba", "pandas", "scikit-learn", "pillow", "snakemake", "dvc")


class Cost(TypedDict):
    """What `provenance.json` says of cost."""

    started: str  # ISO 8601, UTC
    seconds: float  # of the process that ended the run; `training_seconds` counts interrupted ones too
    peak_memory_bytes: int
    peak_device_memory_bytes: NotRequired[int]


class Stopwatch:
    """Seconds and peak memory of a run, from its making on."""

    def __init__(self, device: torch.device):
        self.device, self.start = device, time.monotonic()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def stop(self) -> Cost:
        """What it was until now."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        cost: Cost = {"started": self.started, "seconds": time.monotonic() - self.start, "peak_memory_bytes": peak}
        if self.device.type == "cuda":
            cost["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated(self.device)
        return cost


class Described(TypedDict):
    """What `provenance.json` says of code, packages and machine."""

    code: commit.Code
    python: str
    packages: dict[str, str | None]
    platform: str
    device: str
    device_type: str
    threads: int
    cores: int | None


def describe(device: torch.device) -> Described:
    """Code, packages and machine."""
    return {
        "code": commit.code(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


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

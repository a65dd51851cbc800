"""One measurement in a process of its own: `python -m benchmarks.point JSON` prints seconds and peak memory as JSON.

Memory is the peak of the resident set during the steps, less what the imports alone take; on a GPU the peak that torch
allocated.
"""

import ctypes
import gc
import json
import resource
import statistics
import sys
from pathlib import Path

import torch

from benchmarks.case import Case, prepare
from benchmarks.implementations import kind
from benchmarks.measure import clock
from lasnn.training.device import keep_freed_memory

ENOUGH = 20  # seconds of measuring after which no call is repeated


def peak_mb() -> float:
    """The largest resident set of this process so far, in MB (10^6 bytes)."""
    # A process started by another one may inherit its parent's ru_maxrss; VmHWM counts from its own start.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def forget_peak() -> None:
    """Hand back what preparing has left free, and count the peak from here on, where the system can (Linux, glibc)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        pass


def measure(job: dict) -> dict:
    """Seconds of `job["action"]` of an implementation, and memory."""
    torch.set_num_threads(job["threads"])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = job["case"].get("amp") == "tf32"
    if job["implementation"] == "ours":  # as our jobs do; it costs memory
        keep_freed_memory()
    case, made = Case(**job["case"]), kind(job["implementation"])
    imports = peak_mb()
    subject = prepare(case, job.get("images"))
    thing = made(subject, job.get("variant", ""))
    subject.net = None  # it has weights of its own
    forget_peak()
    call, times = getattr(thing, job["action"]), []
    for _ in range(1 + job.get("repeats", 1)):  # the first warms up
        times.append(clock(call, case.device, job.get("clock", "wall")))
        if sum(times) > ENOUGH:
            break
    seconds = times[1:] or times
    result = {"imports_mb": imports, "peak_mb": peak_mb(), "repeats": len(seconds), "times_s": seconds}
    if case.device == "cuda":
        result["device_peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
    result["above_imports_mb"] = result["peak_mb"] - imports
    return result | {"variant": getattr(thing, "variant", ""), "median_s": statistics.median(seconds)}


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))

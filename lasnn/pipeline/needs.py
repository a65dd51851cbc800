"""What a run asks of a machine or a queue: host memory, minutes and a card. No torch here: the workflow reads it.

Memory is an upper bound from the run's own sizes. Minutes come from a plan that was saved on the machine that trains
(`python -m lasnn plan all --save`); without one a first limit is a guess. Neither loses work: what runs out of
time or memory is asked for again with more, and goes on where it was saved.
"""

import math
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun
from lasnn.plan.settings import AnnSettings, ConvertedSettings, SnnSettings
from lasnn.plan.vocabulary import KNOWN_DATASETS
from lasnn.storage import files

MARGIN = 2.0  # between an estimate and what is asked for
START_UP = 5  # minutes on top, for imports and data on a slow file system
GUESS = 60  # minutes where no plan was saved
MORE = 3  # times the minutes with each further attempt, and twice the memory

BARE_MB = 2000  # of a process with torch
CUDA_MB = 4000  # with CUDA's libraries and its context
COPIES = 4  # of a dataset: the archive's arrays, their split, and both as they are turned to tensors
MAPS = 6  # feature maps of the input's size and the first layer's channels that all layers together amount to
FLOATS = 8  # arrays of that size that inference holds at once
SPIKES_MB = 4295  # at most, of one layer's spikes that balancing keeps in memory, a bit each; it keeps two layers'
STUDENT_MB = 2048  # at most, for a step of a student: twice what `micro_batch: auto` lets it take


def plan_file(preset: Preset) -> Path:
    """Where `plan --save` leaves the seconds of each run."""
    return Path(preset.root, "plan.json")


@cache
def _planned(preset: Preset) -> dict[str, float]:
    try:
        return {str(run): float(cost) for run, cost in files.read_json(plan_file(preset))["seconds"].items()}
    except (InputError, OSError, KeyError, ValueError):
        return {}


def minutes(preset: Preset, run: Run, attempt: int = 1) -> int:
    """Minutes to ask for; an interrupted run goes on, so a further attempt's come on top of the earlier ones'."""
    seconds = _planned(preset).get(str(run))
    first = GUESS if seconds is None else START_UP + MARGIN * seconds / 60
    return round(first * float(MORE) ** (attempt - 1))


def attempts_more(runs: Iterable[tuple[Preset, Run]], limit: int) -> int:
    """How many attempts the longest of these runs takes beyond one, if each of them ends after `limit` minutes.

    0 where no plan was saved: how long a run takes is then unknown.
    """
    longest = max((_planned(preset).get(str(run), 0.0) for preset, run in runs), default=0.0)
    return math.ceil(MARGIN * longest / 60 / max(1, limit - START_UP)) - 1 if longest else 0


def memory_mb(preset: Preset, run: Run, on_card: bool, attempt: int = 1) -> int:
    """Megabytes of host memory to ask for."""
    settings, side = preset.settings(run), preset.config.side(run.dataset)
    known = KNOWN_DATASETS.get(run.dataset)
    images = (known.train + known.test) if known else (settings.data.train_images or 10_000)
    dataset = COPIES * images * 3 * side**2 / 1e6
    if on_card:
        return round((CUDA_MB + dataset) * 2.0 ** (attempt - 1))
    channels = max(16, preset.config.networks.known[run.network_name].channels[0]) * settings.network.width
    rows = settings.compute.rows
    if isinstance(settings, AnnSettings):
        rows = max(rows, settings.training.batch if settings.training else 0)  # adopted weights are only measured
    elif isinstance(settings, ConvertedSettings):
        rows = max(rows, settings.balancing.images)
    first = 4 * side**2 * channels / 1e6  # the first layer's, of one image or time step
    maps, student, spikes = MAPS * first, 0.0, 0.0
    if isinstance(settings, ConvertedSettings):
        spikes = 2 * min(SPIKES_MB, settings.balancing.steps * settings.balancing.images * first / 32)
    if isinstance(run, SnnRun) and isinstance(settings, SnnSettings) and settings.training:
        student = min(STUDENT_MB, 6 * maps * run.steps * settings.training.batch)  # currents, spikes, gradients; twice
    return round((BARE_MB + dataset + FLOATS * rows * maps + student + spikes) * 2.0 ** (attempt - 1))


def machine_memory_mb() -> int:
    """Megabytes of this machine, or of the part of it that a container may use."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            whole = min(whole, int(Path(path).read_text()))
        except (OSError, ValueError):  # no such limit
            continue
    return whole // 10**6

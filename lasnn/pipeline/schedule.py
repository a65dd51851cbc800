"""A plan as a queue sees it: jobs that wait for one another, so many at once."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lasnn.pipeline.notebooks import inputs
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.report import EXHIBITS, files_of


@dataclass(frozen=True)
class Job:
    """Seconds of work, and the names of the jobs that must have ended before it."""

    seconds: float
    after: tuple[str, ...] = ()


def jobs_of(
    preset: Preset,
    seconds: Mapping[Run, float],
    exhibits: Mapping[str, float],
    notebooks: Mapping[str, float],
    each: float = 0,
) -> dict[str, Job]:
    """The jobs of these by name, in the plan's order, each so much longer; what isn't named is there already."""
    names = {preset.folder(run): str(run) for run in seconds}
    found = {
        str(run): Job(cost + each, tuple(str(parent) for parent in preset.parents(run) if parent in seconds))
        for run, cost in seconds.items()
    }
    for name, cost in exhibits.items():
        folders = {str(Path(path).parent) for path in EXHIBITS[name].files(preset)}
        found[name] = Job(cost + each, tuple(names[folder] for folder in sorted(folders) if folder in names))
    made = {str(Path(path).parent / Path(path).stem): name for name in exhibits for path in files_of(preset, name)}
    for name, cost in notebooks.items():
        read = [str(Path(path).with_suffix("")) for path in inputs(preset, name)]  # <folder>/metrics, or an exhibit
        jobs = [names.get(str(Path(path).parent)) or made.get(path) for path in read]
        found[f"notebook {name}"] = Job(cost + each, tuple(dict.fromkeys(job for job in jobs if job)))
    return found


def critical_path(jobs: Mapping[str, Job]) -> tuple[float, list[str]]:
    """The longest chain of jobs that wait for one another: with any number at once it takes no less time than that."""
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}

    def end(name: str) -> float:
        if name not in ends:
            last = before[name] = max(jobs[name].after, key=end, default=None)
            ends[name] = jobs[name].seconds + (0 if last is None else end(last))
        return ends[name]

    last = max(jobs, key=end, default=None)
    chain, name = [], last
    while name:
        chain.append(name)
        name = before[name]
    return (ends[last] if last else 0.0), chain[::-1]


def wall_seconds(jobs: Mapping[str, Job], at_once: int) -> float:
    """How long all jobs take if so many run at once and each begins as soon as it can, in the order of the plan."""
    waiting = {name: len(job.after) for name, job in jobs.items()}
    order = {name: place for place, name in enumerate(jobs)}
    children: dict[str, list[str]] = {name: [] for name in jobs}
    for name, job in jobs.items():
        for parent in job.after:
            children[parent].append(name)
    ready = [order[name] for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    names, now = list(jobs), 0.0
    running: list[tuple[float, str]] = []  # when each ends
    while ready or running:
        while ready and len(running) < at_once:
            name = names[heapq.heappop(ready)]
            heapq.heappush(running, (now + jobs[name].seconds, name))
        now, name = heapq.heappop(running)
        for child in children[name]:
            waiting[child] -= 1
            if waiting[child] == 0:
                heapq.heappush(ready, order[child])
    return now

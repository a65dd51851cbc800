"""What is finished: every run below the results folder, with what it reached and whether the plan still asks for it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, overload

from lasnn.errors import InputError
from lasnn.pipeline import reference
from lasnn.plan.config import Config, Preset
from lasnn.plan.overlays import merged
from lasnn.plan.project import inside
from lasnn.plan.runs import parse
from lasnn.results.fits import unfit
from lasnn.results.scores import scores
from lasnn.storage import files

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Finished:
    """One run; `settings` is their digest as `trace` prints it, `state` says whether they fit the plan."""

    preset: str
    run: str
    accuracy: float | None
    settings: str | None
    finished: str | None  # ISO 8601, UTC
    state: str  # as planned | kept ... | made with other settings (...) | not in the configuration: ... | damaged: ...
    folder: str  # what other verbs and `lasnn.load` call it
    scores: dict[str, float] = field(default_factory=dict)  # the numbers of scores.json

    def age(self, now: datetime) -> str:
        """How long ago, in its largest unit."""
        if self.finished is None:
            return "-"
        seconds = (now - datetime.fromisoformat(self.finished)).total_seconds()
        for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
            if seconds >= size:
                return f"{seconds // size:.0f} {unit}"
        return f"{max(seconds, 0):.0f} s"


def finished(config: Config, preset: str | None, words: list[str]) -> list[Finished]:
    """Finished runs of one preset or of all whose path holds all `words` as names, by path."""
    presets = [config.preset(name) for name in ([preset] if preset else config.file.presets)]
    return [_finished(one, path) for one in presets for path in _paths(Path(one.root), words)]


def _paths(root: Path, words: list[str]) -> Iterator[Path]:
    """The metrics.json of every run below a preset's folder whose path holds all `words` as names."""
    for path in sorted(root.glob("*/**/metrics.json")):
        run = path.parent.relative_to(root).as_posix()
        if {*run.split("/"), *run.replace("/", "-").split("-")}.issuperset(words):
            yield path


def _finished(preset: Preset, path: Path) -> Finished:
    folder, run = path.parent.as_posix(), path.parent.relative_to(preset.root).as_posix()
    try:
        metrics = files.read_json(path)
        made = files.read_json(path.with_name("provenance.json"))
        text = json.dumps(metrics["settings"], sort_keys=True)
        ended = datetime.fromisoformat(made["started"]) + timedelta(seconds=made["seconds"])
        accuracy, numbers = metrics.get("accuracy"), scores(metrics, preset.energy)
    except (InputError, KeyError, ValueError, TypeError) as error:
        return Finished(preset.name, run, None, None, None, f"damaged: {' '.join(str(error).split())}", folder)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Finished(
        preset.name,
        run,
        accuracy,
        digest,
        ended.astimezone(UTC).isoformat(timespec="seconds"),
        _state(preset, run),
        folder,
        numbers,
    )


def _state(preset: Preset, name: str) -> str:
    try:
        run = parse(name)
        preset.check_names(run)
    except InputError as error:
        return f"not in the configuration: {error}"
    try:
        return unfit(preset, run) or "as planned"
    except InputError as error:  # a parent's file
        return f"damaged: {error}"


def kept(config: Config, words: list[str]) -> list[Finished]:
    """The same of runs that are kept in git, which are not compared with the plan."""
    found = []
    for name in config.file.presets:
        root = reference.folder_of(config.preset(name))
        for path in _paths(root, words):
            state = "kept" if path.with_name("model.pt").exists() else "kept without its checkpoint"
            run, accuracy = path.parent.relative_to(root).as_posix(), files.read_json(path).get("accuracy")
            found.append(Finished(name, run, accuracy, None, None, state, path.parent.as_posix()))
    return found


class Runs(list[Finished]):
    """Runs that print as the table of `python -m lasnn runs`; a part of them is such a list too."""

    @overload
    def __getitem__(self, place: SupportsIndex) -> Finished: ...
    @overload
    def __getitem__(self, place: slice) -> "Runs": ...
    def __getitem__(self, place: SupportsIndex | slice) -> "Finished | Runs":
        return Runs(super().__getitem__(place)) if isinstance(place, slice) else super().__getitem__(place)

    def frame(self, *names: str) -> "pd.DataFrame":
        """Flat columns (all, or these; docs/exhibits.md), with `preset` and `folder`, of those that fit or are kept.

        InputError for a column that isn't known or that no run has a value of.
        """
        import pandas as pd

        from lasnn.report.frame import OF_RUNS, frame

        parts = []
        with inside() as config:
            for one in (one for one in self if one.state == "as planned" or one.state.startswith("kept")):
                place = Path(one.folder).parents[one.run.count("/")].parent  # of the presets' folders
                there = _config_of(json.dumps(config.content), place.as_posix()).preset(one.preset)
                found = frame([parse(one.run)], there, names or OF_RUNS)
                parts.append(found.assign(preset=one.preset, folder=one.folder))
        whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*(names or OF_RUNS)])
        if empty := [name for name in names if whole[name].isna().all()]:
            raise InputError(
                f"no run of these {len(self)} has a value of {', '.join(empty)}: choose other runs or columns"
            )
        return whole

    def __repr__(self) -> str:
        """A line for each run, columns under one another."""
        if not self:
            return (
                "no finished run has all these names: `python -m lasnn runs` lists those that there are, `snakemake "
                "--cores 1 tables` makes those behind the tables, of another preset with `--config preset=NAME`"
            )
        now = datetime.now(UTC)
        wide = max(len(one.folder) for one in self)
        rows = [f"{'run':{wide}}  accuracy  settings      age     state"]
        for one in self:
            accuracy = "-" if one.accuracy is None else f"{one.accuracy:.2f} %"
            rows.append(f"{one.folder:{wide}}  {accuracy:>8}  {one.settings or '-':12}  {one.age(now):>6}  {one.state}")
        if any(one.run.startswith("converted/") for one in self):
            rows.append(
                "a converted run's accuracy is the end of its curve, on the images of that (curve.steps, curve.images)"
            )
        return "\n".join(rows)


@cache
def _config_of(content: str, results: str) -> Config:
    """The configuration with other results."""
    return Config(merged(json.loads(content), {"folders": {"results": results}}))

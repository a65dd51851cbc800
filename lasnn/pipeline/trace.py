"""From one cell of a table down to code, configuration, data and seeds; `verify` hashes all of it again. No torch.

What is kept in git is read where it lies, and audited as `lasnn.pipeline.verify` does.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from lasnn.datasets.arrays import load
from lasnn.errors import InputError
from lasnn.pipeline import reference
from lasnn.pipeline.freshness import Judge
from lasnn.pipeline.pointing import Line, meant
from lasnn.pipeline.verify import Audit
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import Run, split
from lasnn.report import EXHIBITS
from lasnn.report.site.shown import Shown
from lasnn.results.fits import unfit
from lasnn.results.scores import judged_on
from lasnn.storage import files
from lasnn.storage.digests import Digests


@dataclass
class Trace:
    """Lines to read, and what `verify` found wrong, each once. `root`: the folder below which the runs lie."""

    preset: Preset
    root: Path
    verify: bool
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seen: set[Run] = field(default_factory=set)
    absent: list[Run] = field(default_factory=list)  # runs without their checkpoint, as kept results have them
    sound: list[Run] = field(default_factory=list)  # runs whose files are as stated and planned
    reckoned: list[str] = field(default_factory=list)  # of how many the accuracies were, in words
    digests: Digests = field(default_factory=lambda: Digests(None))

    @property
    def kept(self) -> bool:
        """Whether it is of results that are kept in git."""
        return self.root == reference.folder_of(self.preset)

    @cached_property
    def audit(self) -> Audit:
        """Of kept results, their files compared."""
        audit = Audit(self.preset.config, self.preset.name)
        audit.files()
        return audit

    def reckon(self) -> None:
        """Accuracies again from predictions, of all runs in which nothing else is wrong."""
        audit = Audit(self.preset.config, self.preset.name, self.root)
        audit.accuracies(self.sound)
        self.reckoned = audit.said
        for fault in audit.faults:
            self.blame(fault)

    def verdict(self) -> list[str]:
        """What `verify` found: each fault, and how much was compared."""
        runs = f"{len(self.seen)} runs, their settings, parents and images"
        names = sorted({run.dataset for run in self.seen})
        if unseen := [name for name in names if not Path(self.preset.config.data_file(name)).exists()]:
            runs = f"{len(self.seen)} runs, their settings and parents; images of {', '.join(unseen)} count as stated"
        runs = "; ".join([runs, *self.reckoned])
        if self.absent:
            runs += f"; {len(self.absent)} checkpoints are not here and count as they are stated"
        whole = f"{len(self.faults)} mismatches in {runs}" if self.faults else f"verified: {runs}"
        return [*(f"MISMATCH: {fault}" for fault in self.faults), whole]

    def say(self, depth: int, line: str) -> None:
        self.lines.append("  " * depth + line)

    def blame(self, fault: str | None) -> None:
        if self.verify and fault and fault not in self.faults:
            self.faults.append(fault)


def trace(config: Config, path: str, words: list[str], verify: bool = False) -> Trace:
    """The chain behind every cell of an exhibit that all `words` mean, or behind the run whose folder `path` is.

    InputError if nothing matches or nothing was run for it.
    """
    target = Path(path)
    if target.parent.name != "exhibits":
        place, run = split(path)
        kept = Path(place).parent == reference.place(config)
        preset = config.preset(Path(place).name) if kept else config.locate(path)[0]
        preset.check_names(run)
        found = Trace(preset, Path(place), verify)
        _run(found, run, 0)
        if verify:
            found.reckon()
        return found
    name, place = target.name.split(".")[0], target.parent.parent.as_posix()
    preset = config.preset(Path(place).name)
    if name not in EXHIBITS:
        raise InputError(f"{path!r} is not the file of an exhibit: known are {', '.join(EXHIBITS)}")
    kept = Path(place) == reference.folder_of(preset)
    found = Trace(preset, Path(place if kept else preset.root), verify)
    lines = meant(Shown(name, EXHIBITS[name], target.parent), preset, words)
    if verify:
        found.blame(_exhibit_fault(found, name))
    for line in lines:
        found.say(0, f"{name}: {line.says()}")
        for run in line.runs:
            _run(found, run, 1)
        if verify:
            found.blame(_value_fault(found, name, line))
    if verify:
        found.reckon()
    return found


def _run(found: Trace, run: Run, depth: int) -> None:
    """A run, what made it, and then its parents."""
    preset, folder = found.preset, found.root / str(run)
    if run in found.seen:
        found.say(depth, f"{run}: as above")
        return
    found.seen.add(run)
    if found.kept and not (folder / "metrics.json").exists():
        found.say(depth, f"{run}: not kept")
        found.blame(f"{folder} is not kept")
        return
    metrics, made = files.read_json(folder / "metrics.json"), files.read_json(folder / "provenance.json")
    head, *facts = described(run, metrics, made)
    found.say(depth, head)
    whole = reference.kept_at(preset, run) if found.kept else folder
    if not (whole / "model.pt").exists():
        found.absent.append(run)
        again = f"`snakemake --cores 1 {preset.folder(run)}/model.pt` makes it again"
        facts.insert(0, "its checkpoint is not " + ("kept" if found.kept else f"here: {again}"))
    for fact in facts:
        found.say(depth + 1, fact)
    if found.verify:
        faults = _run_faults(found, run, metrics, made.get("files", {}))
        found.sound += [] if faults else [run]
        for fault in faults:
            found.blame(fault)
    for parent in preset.parents(run):
        _run(found, parent, depth + 1)


def described(run: Run, metrics: files.Json, made: files.Json) -> list[str]:
    """What a run's metrics and provenance say that made it: a line with what it reached, then a line for each fact."""
    code, data, model = made["code"], metrics["data"], made.get("files", {}).get("model.pt", "not stated")
    accuracy = f"accuracy {metrics['accuracy']:.2f} %" if "accuracy" in metrics else "no accuracy"
    accuracy += f" ({judged_on(metrics)})" if metrics["run"]["kind"] == "converted" else ""
    clean = {True: "clean", False: "with changes that were not committed", None: ""}[code["clean"]]
    settings = sha256(json.dumps(metrics["settings"], sort_keys=True).encode()).hexdigest()
    where = f", trained in the preset {made['trained_in']}" if "trained_in" in made else ""
    unknown = f"of an unknown commit ({code.get('unknown', 'outside of git')})"
    version = f"commit {code['commit'][:12]} {clean}" if code["commit"] else unknown
    packages = f"torch {made['packages']['torch']}, Python {made['python']}"
    adopted, seconds = made.get("adopted"), f"{made['seconds']:.0f} s"
    if made.get("training_seconds", 0) > made["seconds"]:
        seconds += f" after an interruption, {made['training_seconds']:.0f} s of training in all"
    return [
        f"{run}: {accuracy}, model.pt {model[:12]}",
        f"settings {settings[:12]}, revision {metrics['revision']}, seed {run.seed}",
        f"code {version}; {packages}; {made['device']}, {seconds}{where}",
        *([f"adopted, not trained here: {adopted['file']}, sha256 {adopted['sha256'][:12]}"] if adopted else []),
        f"data {data['dataset']}: sha256 {data['digest'][:12]}, {data['train_images']} + {data['test_images']} images",
    ]


def _run_faults(found: Trace, run: Run, metrics: files.Json, stated: dict[str, str]) -> list[str]:
    preset, folder = found.preset, found.root / str(run)
    if found.kept:
        return [fault for fault in (*found.audit.faults, found.audit.runs[run]) if fault and f"{folder}" in fault]
    faults = [] if stated else [f"{folder}/provenance.json states no digests: made by an earlier version"]
    for name, digest in stated.items():
        path = folder / name
        if not path.exists():
            faults += [f"{path} is missing"] if name != "model.pt" else []  # of a checkpoint a line says so
        elif (is_now := found.digests.sha256(path)) != digest:
            faults.append(f"{path} is {is_now[:12]} now, {digest[:12]} when it was made")
    if reason := unfit(preset, run):
        faults.append(f"{run} is not what the plan asks for: {reason}")
    for parent in metrics["parents"]:
        path = Path(preset.root, parent, "model.pt")
        if not path.exists() and files.stated_digest(path) is None:
            faults.append(f"{path} is missing")
    images = preset.config.data_file(run.dataset)
    if fault := found.digests.fact("images", [images], lambda: _images_fault(images)):
        faults.append(str(fault))
    return faults


def _images_fault(path: str) -> str | None:
    """What is wrong with a prepared file, whose images themselves are hashed."""
    try:
        load(path)
    except InputError as error:
        return str(error)
    return None


def _exhibit_fault(found: Trace, name: str) -> str | None:
    if found.kept:
        with found.audit.view():
            reason, _ = found.audit.exhibit(name)
    else:
        reason = Judge(found.preset).exhibit(name)
    return f"{name} is not what the files behind it say: {reason}" if reason else None


def _value_fault(found: Trace, name: str, line: Line) -> str | None:
    """Whether an accuracy is the mean of what its runs' metrics say."""
    paths = [found.root / str(run) / "metrics.json" for run in line.runs]
    entries = line.entries
    if entries.get("metric") != "top1" or not entries.get("ours") or not all(path.exists() for path in paths):
        return None
    mean = sum(files.read_json(path)["accuracy"] for path in paths) / len(paths)
    return (
        None
        if abs(mean - float(entries["ours"])) < 1e-6
        else f"{name} says {entries['ours']}, its runs' metrics {mean}"
    )

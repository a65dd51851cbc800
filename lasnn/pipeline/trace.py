"""From one cell of a table down to code, configuration, data and seeds; `verify` hashes all of it again. No torch."""

import csv
import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from lasnn.datasets.arrays import load
from lasnn.errors import InputError
from lasnn.pipeline.freshness import Judge
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import Run, parse
from lasnn.report import EXHIBITS
from lasnn.results.fits import unfit
from lasnn.storage import files

KEYS = ("row_label", "dataset", "student", "teacher", "method", "encoding", "timesteps", "metric", "variant")


@dataclass
class Trace:
    """Lines to read, and what `verify` found wrong, each once."""

    preset: Preset
    verify: bool
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seen: set[Run] = field(default_factory=set)
    absent: list[Run] = field(default_factory=list)  # runs without their checkpoint, as kept results have them
    digests: dict[str, str] = field(default_factory=dict)

    def say(self, depth: int, line: str) -> None:
        self.lines.append("  " * depth + line)

    def sha256(self, path: Path) -> str:
        """A file's digest, reckoned once."""
        if str(path) not in self.digests:
            self.digests[str(path)] = files.sha256(path)
        return self.digests[str(path)]

    def images(self, path: str) -> str:
        """The digest of a prepared file's images themselves, reckoned once; in place of it, what is wrong with it."""
        if path not in self.digests:
            try:
                self.digests[path] = load(path).digest
            except InputError as error:
                self.digests[path] = str(error)
        return self.digests[path]

    def blame(self, fault: str | None) -> None:
        if self.verify and fault and fault not in self.faults:
            self.faults.append(fault)


def trace(config: Config, path: str, words: list[str], verify: bool = False) -> Trace:
    """The chain behind every cell of an exhibit whose keys hold all `words`, or behind the run whose folder `path` is.

    InputError if nothing matches or nothing was run for it.
    """
    target = Path(path)
    if target.parent.name != "exhibits":
        preset, run = config.locate(path)
        found = Trace(preset, verify)
        _run(found, run, 0)
        return found
    name = target.name.split(".")[0]
    preset = config.preset(target.parent.parent.name)
    if name not in EXHIBITS:
        raise InputError(f"{path!r} is not the file of an exhibit: known are {', '.join(EXHIBITS)}")
    found = Trace(preset, verify)
    cells = matching(target.with_name(f"{name}.csv"), words)
    found.blame(_exhibit_fault(preset, name))
    for cell in cells:
        what = ", ".join(f"{key} {cell[key]}" for key in KEYS if cell.get(key) and cell[key] != "base")
        value = f"{float(cell['ours']):.2f}" if cell.get("ours") else "-"
        found.say(0, f"{name}: {what}: {value} (paper: {cell.get('paper') or '-'}), n = {len(cell['runs'].split())}")
        for word in cell["runs"].split():
            _run(found, parse(word), 1)
        found.blame(_value_fault(preset, name, cell))
    return found


def matching(path: Path, words: list[str]) -> list[dict[str, str]]:
    """Lines of an exhibit's CSV with these words among their keys (in any case), for which something was run."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise InputError(f"no {path}: make it first, `snakemake --cores 1 {path}`") from None
    if not rows or "runs" not in rows[0]:
        raise InputError(f"{path} has no column `runs`: trace one of the runs' folders that its .json file names")
    chosen = rows
    for word in words:
        chosen = [row for row in chosen if word.lower() in {str(row.get(key) or "").lower() for key in KEYS}]
        if not chosen:
            values = dict.fromkeys(row[key] for row in rows if row["runs"] for key in KEYS if row.get(key))
            raise InputError(
                f"no cell of {path} holds {' and '.join(words)}: its rows and columns are {', '.join(values)}"
            )
    ran = [row for row in chosen if row["runs"]]
    if not ran:
        raise InputError(f"{len(chosen)} cells of {path} hold {' and '.join(words)}, but this preset runs none of them")
    return ran


def _run(found: Trace, run: Run, depth: int) -> None:
    """A run, what made it, and then its parents."""
    preset, folder = found.preset, Path(found.preset.folder(run))
    if run in found.seen:
        found.say(depth, f"{run}: as above")
        return
    found.seen.add(run)
    metrics, made = files.read_json(folder / "metrics.json"), files.read_json(folder / "provenance.json")
    head, *facts = described(run, metrics, made)
    found.say(depth, head)
    if not (folder / "model.pt").exists():
        found.absent.append(run)
        facts.insert(0, f"its checkpoint is not here: `snakemake --cores 1 {folder}/model.pt` makes it again")
    for fact in facts:
        found.say(depth + 1, fact)
    if found.verify:
        for fault in _run_faults(found, run, metrics, made.get("files", {})):
            found.blame(fault)
    for parent in preset.parents(run):
        _run(found, parent, depth + 1)


def described(run: Run, metrics: files.Json, made: files.Json) -> list[str]:
    """What a run's metrics and provenance say that made it: a line with what it reached, then a line for each fact."""
    code, data, model = made["code"], metrics["data"], made.get("files", {}).get("model.pt", "not stated")
    accuracy = f"accuracy {metrics['accuracy']:.2f} %" if "accuracy" in metrics else "no accuracy"
    clean = {True: "clean", False: "CHANGED since", None: ""}[code["clean"]]
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
    preset, folder = found.preset, Path(found.preset.folder(run))
    faults = [] if stated else [f"{folder}/provenance.json states no digests: made by an earlier version"]
    for name, digest in stated.items():
        path = folder / name
        if not path.exists():
            faults += [f"{path} is missing"] if name != "model.pt" else []  # of a checkpoint a line says so
        elif (is_now := found.sha256(path)) != digest:
            faults.append(f"{path} is {is_now[:12]} now, {digest[:12]} when it was made")
    if reason := unfit(preset, run):
        faults.append(f"{run} is not what the plan asks for: {reason}")
    for parent in metrics["parents"]:
        path = Path(preset.root, parent, "model.pt")
        if not path.exists() and files.stated_digest(path) is None:
            faults.append(f"{path} is missing")
    is_now = found.images(preset.config.data_file(run.dataset))
    if len(is_now) != 64:
        faults.append(is_now)
    return faults


def _exhibit_fault(preset: Preset, name: str) -> str | None:
    reason = Judge(preset).exhibit(name)
    return f"{name} is not what the files behind it say: {reason}" if reason else None


def _value_fault(preset: Preset, name: str, cell: dict[str, str]) -> str | None:
    """Whether an accuracy is the mean of what its runs' metrics say."""
    if cell.get("metric") != "top1" or not cell.get("ours"):
        return None
    values = [files.read_json(f"{preset.root}/{run}/metrics.json")["accuracy"] for run in cell["runs"].split()]
    mean = sum(values) / len(values)
    if abs(mean - float(cell["ours"])) < 1e-6:
        return None
    return f"{name} says {cell['ours']}, its runs' metrics {mean}"

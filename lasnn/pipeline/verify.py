"""Kept results audited where they lie, without images, network or torch.

Every file against its recorded digest; every run against its fingerprint and its parents; accuracies reckoned again
from kept predictions; every exhibit made again and compared to the byte. What compares and what makes is that of the
workflow (`lasnn.results.fits`, `lasnn.report`), in a scratch folder where the kept runs lie as the plan has them.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from lasnn.datasets.arrays import load
from lasnn.errors import InputError
from lasnn.pipeline import reference
from lasnn.pipeline.reference import PICTURES
from lasnn.plan.config import Config
from lasnn.plan.runs import Run, parse
from lasnn.report import EXHIBITS
from lasnn.report.frame import csv
from lasnn.results.fits import RUN_FILES, checkpoint_of, damaged, unfit, whole_metrics
from lasnn.results.scores import accuracies, judged_by
from lasnn.results.store import LOG
from lasnn.storage import files
from lasnn.storage.digests import Digests
from lasnn.storage.files import Array, Json

RESULTS = "results"  # where kept exhibits say that their runs lie
FILES = (*RUN_FILES, LOG)
NUMBER = re.compile(r"-?\d+\.\d+")
NAME = re.compile(r"\b[mp][0-9a-f]{10}\b")  # of a clip or marker: Matplotlib's digest of its coordinates
LAST_PLACE = 1.5e-6  # points: Matplotlib prints six places, and a processor may round a seventh to either side
MALFORMED = (
    InputError,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)  # what reading others' files raises
NEAR = 1e-9  # percent: means of the same zeros and ones may be added up in another order
Images = tuple[str, str, str, int, int]  # of predictions: their dataset, its digest, the split, first place and end


def verify(config: Config, words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """A line on each of these presets, given by its name or its kept folder, or on all, and what is wrong with it.

    InputError if one keeps nothing.
    """
    place = reference.place(config)
    known = sorted(path.name for path in place.glob("*") if path.is_dir() and any(path.iterdir()))
    for word in words:
        name = Path(word).name
        if name not in known or Path(word).absolute() not in (Path(name).absolute(), (place / name).absolute()):
            raise InputError(f"{word} keeps no results: in {place} there are some of {', '.join(known) or 'no preset'}")
    if not known:
        raise InputError(f"no kept results in {place}: verify a clone that has them")
    for name in dict.fromkeys(Path(word).name for word in words or known):
        try:
            audit = Audit(config, name)
            audit.all()
            yield audit.line(), audit.faults
        except (InputError, OSError) as error:
            yield f"{name}: FAILED, 1 mismatch: nothing of it can be compared", [_in_words(error)]


class Audit:
    """Of one preset's kept results: `said`, a phrase for each thing compared; `faults`, each file or run by name.

    `folder`: where its runs lie, if these are others than the kept ones.
    """

    def __init__(self, config: Config, name: str, folder: Path | None = None):
        if name not in config.file.presets:
            raise InputError(f"{reference.place(config) / name} is of no preset of the configuration: remove it")
        self.preset = self.planned = config.preset(name)
        if config.file.folders.results != RESULTS:
            folders = config.content["folders"] | {"results": RESULTS}
            self.preset = Config(config.content | {"folders": folders}).preset(name)
        self.folder, self.digests = folder or reference.folder_of(self.planned), Digests(None)
        self.exhibits_at = self.folder.absolute() / "exhibits"
        self.said: list[str] = []
        self.faults: list[str] = []
        self.absent: set[str] = set()  # recorded files that are not here
        self.changed: set[str] = set()
        self.malformed: set[Run] = set()

    def line(self) -> str:
        """All that was compared, in one line."""
        count = len(self.faults)
        state = f"FAILED, {count} mismatch{'es' * (count > 1)}" if count else "verified"
        return f"{self.planned.name}: {state}: {'; '.join(self.said)}"

    def all(self) -> None:
        self.files()
        self.faults += [fault for fault in self.runs.values() if fault]
        good = [run for run, fault in self.runs.items() if fault is None]
        self.said.append(f"{len(good)} of {len(self.runs)} runs as planned" if self.runs else "no run is kept")
        self.accuracies(good)
        with self.view():
            self.exhibits()

    def files(self) -> None:
        """Every file against its recorded digest: what is missing, changed or foreign."""
        recorded = reference.recorded(self.folder)
        there = {one.relative_to(self.folder).as_posix() for one in self.folder.rglob("*") if not one.is_dir()}
        self.absent = recorded.keys() - there
        both = sorted(there & recorded.keys())
        self.changed = {name for name in both if self.digests.sha256(self.folder / name) != recorded[name]}
        self.said.append(f"{len(both) - len(self.changed)} of {len(recorded)} files as recorded")
        if count := len(self.absent):
            first = self.folder / min(self.absent)
            others = f", and {count - 1} more, as in half a clone" if count > 1 else ""
            self.faults.append(f"{first} is missing{others}: `git checkout {self.folder if others else first}`")
        for name in sorted(self.changed):
            self.faults.append(f"{self.folder / name} is not the file that was kept ({reference.SUMS} says so)")
        foreign = sorted(there - recorded.keys() - {reference.SUMS})
        self.faults += [f"{self.folder / name} is none of the kept files: remove it" for name in foreign]
        shown = {name.removeprefix("exhibits/") for name in recorded if name.startswith("exhibits/")}
        self.faults += [f"{self.folder}/exhibits/{fault}" for fault in self._incomplete(shown, there)]

    def _incomplete(self, shown: set[str], there: set[str]) -> list[str]:
        """Files that kept exhibits lack, by what they say was made of each, and files of none."""
        faults, known = [], set[str]()
        for name, exhibit in EXHIBITS.items():
            own = {f"{name}.{ending}" for ending in exhibit.endings}
            known |= own
            if not own & shown:
                continue
            path, made = self.exhibits_at / f"{name}.json", Json()
            with contextlib.suppress(*MALFORMED):  # then it is missing, or is not what its runs give
                made = files.read_json(path).get("made") or {}
            wanted = {f"{name}.json", *(file for file in made if not exhibit.shows_images or file.endswith(".csv"))}
            lacking = sorted(file for file in wanted - shown if f"exhibits/{file}" not in there)  # else it is foreign
            faults += [f"{file} is missing beside the other files of its exhibit: export it anew" for file in lacking]
        return faults + [f"{file} is of no exhibit: remove it" for file in sorted(shown - known)]

    @cached_property
    def runs(self) -> dict[Run, str | None]:
        """Every run whose metrics are kept, and what is wrong with it; nothing more ("") if its files were named."""
        found: dict[Run, str | None] = {}
        for path in sorted(self.folder.glob("*/**/metrics.json")):
            with contextlib.suppress(InputError):  # of another name than runs have: a foreign file
                run = parse(path.parent.relative_to(self.folder).as_posix())
                found[run] = self._fault(run)
        return found

    def at(self, run: Run, name: str) -> Path:
        """Where a file of a kept run lies: of an ANN that two presets share, one of them has all."""
        own = self.folder / str(run) / name
        return own if own.exists() else reference.kept_at(self.planned, run) / name

    def _fault(self, run: Run) -> str | None:
        folder = self.folder / str(run)
        if any((self.folder / name).parent == folder for name in self.changed | self.absent):
            return ""
        try:
            predictions = self.at(run, "predictions.npz")
            reason = unfit(self.planned, run, folder, self.folder, self.digests) or damaged(folder, self.digests)
            if self.digests.sha256(predictions) != files.stated_digest(folder / predictions.name):
                reason = reason or f"{predictions} is not the file that its provenance describes"
            for parent in whole_metrics(folder)["parents"]:
                if checkpoint_of(self.folder / parent, self.digests) is None:
                    reason = reason or f"its parent {parent} is not kept"
        except MALFORMED as error:
            reason = _in_words(error)
        return f"{folder} is not what the plan asks for: {reason}" if reason else None

    def accuracies(self, runs: list[Run]) -> None:
        """Accuracies in metrics against those that follow from predictions and labels."""
        held, labels, known = {}, dict[Images, Array](), []
        for run in runs:
            with self._well_formed(run):
                held[run] = _, arrays, images = self._held(run)
                own = arrays.get("labels")
                if own is not None and not np.array_equal(labels.setdefault(images, own), own):
                    path = self.folder / str(run) / "predictions.npz"
                    self.faults.append(f"{path} has other labels than other runs have")
        said = self._labels(labels, [images for *_, images in held.values()])
        for run, (metrics, arrays, images) in held.items():
            with self._well_formed(run):
                if images not in labels:
                    continue
                for what, stated, now in accuracies(run, metrics, arrays["predicted"], labels[images]):
                    if not abs(stated - now) <= NEAR:
                        path = self.folder / str(run) / "metrics.json"
                        self.faults.append(f"{path} says {what} {stated:.2f} %, its predictions give {now:.2f}")
                known.append(run)
        if held:
            self.said.append(f"accuracies of {len(known)} runs reckoned again, {said}")

    @contextlib.contextmanager
    def _well_formed(self, run: Run) -> Iterator[None]:
        """A run whose files lack something in the block is named, and no exhibit is made of it."""
        try:
            yield
        except MALFORMED as error:
            fault = f"{self.folder / str(run)}: its metrics and predictions don't go together: {_in_words(error)}"
            self.malformed.add(run)
            self.faults.append(fault)

    def _held(self, run: Run) -> tuple[Json, dict[str, Array], Images]:
        """Metrics of a run, its predictions, and which images these are of."""
        metrics, arrays = whole_metrics(self.folder / str(run)), files.read_arrays(self.at(run, "predictions.npz"))
        data, (split, places) = metrics["data"], judged_by(metrics["data"])
        return metrics, arrays, (data["dataset"], data["digest"], split, places.start, places.stop)

    def _labels(self, kept: dict[Images, Array], asked: list[Images]) -> str:
        """Compare kept labels with those of prepared images, and take these where none are kept; in words, which."""
        said = []
        for dataset in dict.fromkeys(name for name, *_ in asked):
            path, prepared = self.planned.config.data_file(dataset), None
            try:
                prepared = load(path) if Path(path).exists() else None
            except InputError as error:
                self.faults.append(str(error))
            for images in dict.fromkeys(asked):
                name, digest, split, first, last = images
                if prepared and (name, digest) == (dataset, prepared.digest):  # runs of other images were named
                    labels = getattr(prepared, f"{split}_labels")[first:last]
                    if not np.array_equal(kept.setdefault(images, labels), labels):
                        self.faults.append(f"{self.folder} has other labels of {dataset} than {path}")
            said.append(f"labels of {dataset} " + (f"as in {path}" if prepared else f"as kept: there is no {path}"))
        return ", ".join(said) or "there are no labels"

    @contextlib.contextmanager
    def view(self) -> Iterator[None]:
        """A scratch folder, the working folder in the block, in which the kept runs lie where the plan has them."""
        with tempfile.TemporaryDirectory() as scratch:
            data = Path(self.preset.config.file.folders.data)
            links = {data: data}
            for run in self.runs:
                names = FILES if self.at(run, "predictions.npz").parent != self.folder / str(run) else [""]
                links |= {Path(self.preset.folder(run), name): self.at(run, name) for name in names}
            for link, source in links.items():
                if source.exists() and not link.is_absolute():
                    Path(scratch, link).parent.mkdir(parents=True, exist_ok=True)
                    os.symlink(source.absolute(), Path(scratch, link))
            with contextlib.chdir(scratch):
                yield

    def exhibits(self) -> None:
        """Every kept exhibit made again; within `view`."""
        bad = self.malformed | {run for run, fault in self.runs.items() if fault is not None}
        found: dict[str, list[str]] = {}
        for name in sorted(name for name in EXHIBITS if (self.exhibits_at / f"{name}.json").exists()):
            fault, how = None, "as recorded: what is wrong with its runs comes first"
            if bad.isdisjoint(EXHIBITS[name].runs(self.preset)):
                fault, how = self.exhibit(name)
            self.faults += [f"{self.folder}/exhibits/{fault}"] if fault else []
            found.setdefault(how, []).append(name)
        whole = found.pop("", [])
        self.said += [f"{len(whole)} exhibits made again to the byte"] if whole else []
        self.said += [f"{', '.join(names)} {how}" for how, names in found.items()]

    def exhibit(self, name: str) -> tuple[str | None, str]:
        """What is wrong with a kept exhibit, and how far it could be made again: "" means to the byte; in `view`."""
        exhibit, kept = EXHIBITS[name], self.exhibits_at
        lacking = [path for path in exhibit.made_from(self.preset) if not exhibit.place_of(path).exists()]
        if not {self.preset.config.data_file(run.dataset) for run in exhibit.runs(self.preset)}.issuperset(lacking):
            unsaid = self.runs and not self.absent
            fault = f"{name}.json can't be made again: {lacking[0]} is not kept" if unsaid else None
            return fault, "as recorded: their runs are not here"
        try:
            if lacking:
                same = (kept / f"{name}.csv").read_bytes() == csv(exhibit.tidy(self.preset)).encode()
                fault = None if same else f"{name}.csv is not what its runs give"
                return fault, f"in numbers, its pictures as recorded: there is no {lacking[0]}"
            made = exhibit.write(Path("made", name), self.preset)
            other = [path for path in made if (kept / path.name).exists() and not _same(path, kept / path.name)]
        except MALFORMED as error:
            return f"{name}.json can't be made again: {_in_words(error)}", "not made again"
        if numbers := [path.name for path in other if path.suffix not in PICTURES]:
            return f"{numbers[0]} is not what its runs give", "made again as another"
        then, now = (_drawn_by(folder / f"{name}.svg") for folder in (kept, Path("made")))
        if other and then == now:
            return f"{other[0].name} is not what {now} makes of its numbers", "drawn as another"
        return None, f"in numbers, its pictures of {then} as recorded: here is {now}" if other else ""


def _in_words(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())


def _same(made: Path, kept: Path) -> bool:
    """Whether two files agree to the byte; an SVG as drawn, a figure's JSON but for the digests of its pictures."""
    if made.suffix == ".svg":
        return _same_drawing(made.read_text(encoding="utf-8"), kept.read_text(encoding="utf-8"))
    if made.suffix != ".json" or not made.with_suffix(".svg").exists():
        return made.read_bytes() == kept.read_bytes()
    try:
        one, other = files.read_json(made), files.read_json(kept)
        for said in (one, other):
            said["made"] = {name: of for name, of in said["made"].items() if Path(name).suffix not in PICTURES}
    except MALFORMED:
        return False
    return one == other


def _same_drawing(one: str, other: str) -> bool:
    """Whether two SVG agree but for the last printed place of a coordinate, in which processors differ."""
    one, other = NAME.sub("", one), NAME.sub("", other)
    if NUMBER.sub("", one) != NUMBER.sub("", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= LAST_PLACE for a, b in pairs)


def _drawn_by(picture: Path) -> str:
    """What drew an SVG, as it says itself."""
    found = re.search(r"Matplotlib v[\w.]*\w", picture.read_text(encoding="utf-8")) if picture.exists() else None
    return found[0] if found else "another program"

"""Whether what lies there is what the plan asks for: judged by what files say and hold, never by clocks or notes.

A run fits if its files are those that its provenance describes, its settings (with the revision of the code) are the
plan's, its parents are the checkpoints that are there now, and its images are those that are prepared now or would be.
An exhibit fits if it shows the plan's choice of cells and rests on the files that are there now. No torch.
"""

import contextlib
from pathlib import Path

from lasnn.datasets.arrays import header_of
from lasnn.datasets.arrays import load as load_prepared
from lasnn.errors import InputError
from lasnn.pipeline import notebooks
from lasnn.pipeline.sources import expected_content
from lasnn.pipeline.workflow import RUN_FILES
from lasnn.plan.config import DATA_REVISION, Preset
from lasnn.plan.runs import Run
from lasnn.plan.settings_diff import changes
from lasnn.report import EXHIBITS, files_of, runs_of_target
from lasnn.storage import files
from lasnn.storage.digests import Digests
from lasnn.storage.files import Json

OLD = "made by an earlier version of lasnn"
SAID = ("run", "preset", "settings", "parents", "data")  # what is remembered of metrics.json
DAMAGE = (InputError, OSError, KeyError, TypeError, ValueError, AttributeError)


class Judge:
    """One look at a preset's files. A reason is one phrase; None means that the files fit, or that there are none.

    What is not there at all is no fault: whoever needs it makes it. `checkpoints`: whether a run must have its
    checkpoint, which one that was taken up from kept results (`lasnn.pipeline.reference`) may lack.
    """

    def __init__(self, preset: Preset, digests: Digests | None = None, checkpoints: bool = False):
        self.preset, self.digests, self.checkpoints = preset, digests or Digests(None), checkpoints
        self._runs: dict[Run, str | None] = {}
        self._data: dict[str, str | None] = {}

    # ---- runs

    def run(self, run: Run) -> str | None:
        """Why a run's files must be made again."""
        if run not in self._runs:
            try:
                self._runs[run] = self._run(run)
            except DAMAGE as error:
                self._runs[run] = _told(error)
        return self._runs[run]

    def outs(self, run: Run) -> list[str]:
        """The files by which a run is judged, as the workflow names them."""
        return [f"{self.preset.folder(run)}/{name}" for name in RUN_FILES]

    def _run(self, run: Run) -> str | None:
        folder, there = Path(self.preset.folder(run)), [path for path in self.outs(run) if Path(path).exists()]
        if not there:
            return None
        needed = [name for name in RUN_FILES if self.checkpoints or name != "model.pt"]
        if missing := [name for name in needed if not (folder / name).exists()]:
            return f"{folder / missing[0]} is missing"
        if reason := self.unfit_in(run, folder):
            return reason
        for parent in self.preset.parents(run):
            if reason := self.run(parent):
                return f"it rests on {parent}, which is to be made again: {reason}"
        if reason := self.data(run.dataset):
            return f"its images are to be prepared again: {reason}"
        return None

    def unfit_in(self, run: Run, folder: Path) -> str | None:
        """Why the files of `run` in `folder` are not those that the plan asks for, beside what its parents are."""
        said, stated, made = self.metrics(folder), self.stated(folder), self.digests
        if reason := self.answers_otherwise(run, said):
            return reason
        if not stated:
            return OLD
        for name, digest in stated.items():
            if (folder / name).exists() and made.sha256(folder / name) != digest:
                endings = ": its line endings were changed" if files.is_but_for_endings(folder / name, digest) else ""
                return f"{folder / name} is not the file that its provenance describes{endings}"
        for parent, digest in said["parents"].items():
            there = self.checkpoint(Path(self.preset.root, parent))
            if there not in (None, digest):
                return f"made from another {parent} than the one that is there now"
        return self.other_images(run, said, folder)

    def lacks_parents(self, run: Run, folder: Path) -> bool:
        """Whether a parent that a run's metrics name has no checkpoint here with which it could be compared."""
        return any(
            self.checkpoint(Path(self.preset.root, parent)) is None for parent in self.metrics(folder)["parents"]
        )

    def answers_otherwise(self, run: Run, said: Json) -> str | None:
        """Why metrics are those of another run, of other settings or of other parents."""
        if said["run"]["path"] != str(run) or said["preset"] != self.preset.name:
            return f"it holds the run {said['run']['path']} of preset {said['preset']}"
        if changed := changes(self.preset, run, said["settings"]):
            return f"made with other settings ({changed[0]})"
        if sorted(said["parents"]) != sorted(map(str, self.preset.parents(run))):
            return f"made from other parents ({', '.join(said['parents']) or 'none'})"
        return None

    def other_images(self, run: Run, said: Json, folder: Path) -> str | None:
        """Why a run's images are not those of its dataset; where nothing is prepared, its source is compared."""
        path = self.preset.config.data_file(run.dataset)
        if Path(path).exists():
            other = self.header(path)["digest"] != said["data"]["digest"]
            return f"made from other images than {path} holds now" if other else None
        source = self.provenance(folder)["source"]
        return self._other_source(run.dataset, source, said["data"].get("side"))

    def checkpoint(self, folder: Path) -> str | None:
        """The digest of a parent's checkpoint as it is now, of one that is not kept as stated, None without either."""
        if (folder / "model.pt").exists():
            return self.digests.sha256(folder / "model.pt")
        return self.stated(folder).get("model.pt") if (folder / "provenance.json").exists() else None

    def metrics(self, folder: Path) -> Json:
        """What a run's metrics say of what made it."""
        path = folder / "metrics.json"
        return self.digests.record("metrics", [path], lambda: {key: files.read_json(path)[key] for key in SAID})

    def provenance(self, folder: Path) -> Json:
        """The digests that a run's provenance states, and what its images came from."""
        path = folder / "provenance.json"

        def reckon() -> Json:
            content = files.read_json(path)
            return {"files": content.get("files", {}), "source": content["data"].get("source", {})}

        return self.digests.record("provenance", [path], reckon)

    def stated(self, folder: Path) -> dict[str, str]:
        """The digests that a run's provenance states, by file."""
        stated: dict[str, str] = self.provenance(folder)["files"]
        return stated

    # ---- images

    def data(self, dataset: str) -> str | None:
        """Why a prepared file must be made again."""
        if dataset not in self._data:
            path = self.preset.config.data_file(dataset)
            try:
                self._data[dataset] = self._prepared(dataset, path) if Path(path).exists() else None
            except DAMAGE as error:
                self._data[dataset] = _told(error)
        return self._data[dataset]

    def header(self, path: str) -> Json:
        """Digest, source and side of a prepared file, whose images were once checked to have that digest."""

        def reckon() -> Json:
            load_prepared(path)
            return header_of(path)

        return self.digests.record("prepared", [path], reckon)

    def _prepared(self, dataset: str, path: str) -> str | None:
        header = self.header(path)
        if header["name"] != dataset:
            return f"{path} holds the dataset {header['name']!r}"
        if header["subset"] and not self.preset.config.file.allow_subset:
            return None  # the jobs refuse it, and say what to do
        return self._other_source(dataset, header["source"], header["side"])

    def _other_source(self, dataset: str, source: Json, side: int | None) -> str | None:
        own = self.preset.config.own_dataset(dataset)
        if own and side not in (None, own.side):
            return f"{dataset} was prepared with side {side}, and has {own.side} now"
        if source.get("revision", 1) != DATA_REVISION:
            return f"{dataset} was prepared by an earlier version of lasnn"
        if source.get("verified", "none") != "none":
            return None
        content = expected_content(self.preset.config, dataset, self.digests)
        found = source.get("content") or source.get("sha256")
        if content is None or content == found:
            return None
        return f"the source of {dataset} holds other images than were prepared"

    # ---- exhibits

    def exhibit(self, name: str) -> str | None:
        """Why an exhibit must be made again."""
        try:
            return self._exhibit(name)
        except DAMAGE as error:
            return _told(error)

    def _exhibit(self, name: str) -> str | None:
        paths, exhibit = files_of(self.preset, name), EXHIBITS[name]
        if not any(Path(path).exists() for path in paths):
            return None
        if missing := [path for path in paths if not Path(path).exists()]:
            return f"{missing[0]} is missing"
        source = f"{self.preset.root}/exhibits/{name}.json"
        said = self.digests.record("exhibit", [source], lambda: _of_exhibit(source))
        if said["made"] is None:
            return OLD
        if said["plan"] != exhibit.plan(self.preset):
            return "made with another scope"
        if sorted(said["files"]) != sorted(exhibit.made_from(self.preset)):
            return "made from other runs"
        for run in exhibit.runs(self.preset):
            if reason := self.run(run):
                return f"it shows {run}, which is to be made again: {reason}"
        for path, digest in said["files"].items():
            place = exhibit.place_of(path)
            if not place.exists():
                return f"{path} is missing"
            if self.digests.sha256(place) != digest:
                return f"made from another {path}"
        for file, digest in said["made"].items():
            if self.digests.sha256(Path(source).with_name(file)) != digest:
                return f"{Path(source).with_name(file)} has changed since it was made"
        return None

    # ---- pages

    def page(self, name: str) -> str | None:
        """Why a notebook's page must be made again."""
        page = f"{self.preset.root}/notebooks/{name}.html"
        try:
            return self._page(name, page) if Path(page).exists() else None
        except DAMAGE as error:
            return _told(error)

    def _page(self, name: str, page: str) -> str | None:
        overview = name == "overview"
        for run in runs_of_target(self.preset, "all") if overview else notebooks.base_runs(self.preset):
            if reason := self.run(run):
                return f"it shows {run}, which is to be made again: {reason}"
        for exhibit in EXHIBITS if overview else ():
            if reason := self.exhibit(exhibit):
                return f"it shows {exhibit}, which is to be made again: {reason}"
        said = self.digests.fact("page", [page], lambda: notebooks.sealed(page))
        if said is None:
            return f"{page} has changed since it was made, or was made by an earlier version"
        return None if said == notebooks.made_from(self.preset, name, self.digests) else "made from other files"


def _of_exhibit(path: str) -> Json:
    content = files.read_json(path)
    return {"plan": content["plan"], "files": content["files"], "made": content.get("made")}


def _told(error: Exception) -> str:
    """A damaged file as a phrase."""
    if isinstance(error, KeyError):
        return f"{OLD}: it lacks {error}"
    return " ".join(str(error).split()) or type(error).__name__


def drop_resume_states(preset: Preset) -> None:
    """Remove what finished runs went on from: jobs of a cluster leave it until Snakemake has taken what they made."""
    for run in runs_of_target(preset, "all"):
        folder = Path(preset.folder(run))
        with contextlib.suppress(OSError):
            if (folder / "resume.pt").exists() and all((folder / name).exists() for name in RUN_FILES):
                (folder / "resume.pt").unlink()

"""What must be made again: runs, prepared images, exhibits and pages that are there and are not what the plan asks for.

Judged by what files say and hold, never by times or by Snakemake's notes. A run: `lasnn.results.fits`, and whatever it
rests on. An exhibit fits if it shows the plan's choice of cells and rests on the files that are there now. No torch.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from lasnn.datasets.arrays import header_of
from lasnn.datasets.arrays import load as load_prepared
from lasnn.datasets.folders import content_of, listing_of
from lasnn.datasets.preparation import located
from lasnn.errors import InputError
from lasnn.pipeline import notebooks
from lasnn.plan.config import DATA_REVISION, Config, Preset
from lasnn.plan.runs import Run
from lasnn.report import EXHIBITS, files_of, runs_of_target
from lasnn.report.dataframes import base_runs
from lasnn.results.fits import OLD, RUN_FILES, damaged, identity_of, provenance_of, unfit
from lasnn.storage import files
from lasnn.storage.digests import Digests
from lasnn.storage.files import Json
from lasnn.storage.user import expanded


class Judge:
    """One look at a preset's files. A reason is one phrase; None means that the files fit, or that there are none.

    A file that is missing altogether is no fault: Snakemake makes it when a job needs it. `checkpoints`: whether a run
    must have its checkpoint, which one that was taken up from kept results (`lasnn.pipeline.reference`) may lack.
    """

    def __init__(self, preset: Preset, digests: Digests | None = None, checkpoints: bool = False):
        self.preset, self.digests, self.checkpoints = preset, digests or Digests(None), checkpoints
        self._reasons: dict[Run | str, str | None] = {}

    def _once(self, what: Run | str, look: Callable[[], str | None]) -> str | None:
        """The reason that `look` gives, asked once; a file that can't be read is a reason too."""
        if what not in self._reasons:
            try:
                self._reasons[what] = look()
            except (InputError, OSError) as error:
                self._reasons[what] = " ".join(str(error).split())
        return self._reasons[what]

    # ---- runs

    def run(self, run: Run) -> str | None:
        """Why a run's files must be made again."""
        return self._once(run, lambda: self._run(run))

    def outs(self, run: Run) -> list[str]:
        """The files by which a run is judged, as the workflow names them."""
        return [f"{self.preset.folder(run)}/{name}" for name in RUN_FILES]

    def _run(self, run: Run) -> str | None:
        folder = Path(self.preset.folder(run))
        lacking = [path for path in self.outs(run) if not Path(path).exists()]
        if len(lacking) == len(RUN_FILES):
            return None
        if missing := [path for path in lacking if self.checkpoints or not path.endswith("/model.pt")]:
            return f"{missing[0]} is missing"
        for parent in self.preset.parents(run):
            if reason := self.run(parent):
                return f"it rests on {parent}, which is to be made again: {reason}"
        if reason := unfit(self.preset, run, digests=self.digests) or damaged(folder, self.digests):
            return reason
        if reason := self.data(run.dataset):
            return f"its images are to be prepared again: {reason}"
        if Path(self.preset.config.data_file(run.dataset)).exists():
            return None  # `unfit` has compared them
        source, data = provenance_of(folder, self.digests)["source"], identity_of(folder, self.digests)["data"]
        return self._other_source(run.dataset, source, data.get("side"))

    # ---- images

    def data(self, dataset: str) -> str | None:
        """Why a prepared file must be made again."""
        path = self.preset.config.data_file(dataset)
        return self._once(path, lambda: self._prepared(dataset, path) if Path(path).exists() else None)

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
        if own and source.get("resized", False) != own.resize:
            return f"{dataset} was prepared with resize: {str(not own.resize).lower()}, config.yaml says otherwise now"
        if source.get("revision", 1) != DATA_REVISION:
            return f"{dataset} was prepared by an earlier version of lasnn"
        if source.get("verified", "none") != "none":
            return None
        content = expected_content(self.preset.config, dataset, self.digests)
        if content in (None, source.get("content") or source.get("sha256")):
            return None
        return f"the source of {dataset} holds other images than were prepared"

    # ---- exhibits and pages

    def exhibit(self, name: str) -> str | None:
        """Why an exhibit must be made again."""
        return self._once(name, lambda: self._exhibit(name))

    def _exhibit(self, name: str) -> str | None:
        paths, exhibit = files_of(self.preset, name), EXHIBITS[name]
        missing = [path for path in paths if not Path(path).exists()]
        if missing:
            return f"{missing[0]} is missing" if len(missing) < len(paths) else None
        source = f"{self.preset.root}/exhibits/{name}.json"
        said = self.digests.record("exhibit", [source], lambda: _of_exhibit(source))
        if said["plan"] != exhibit.plan(self.preset):
            return "made with another scope"
        if sorted(said["files"]) != sorted(exhibit.made_from(self.preset)):
            return "made from other runs"
        for run in exhibit.runs(self.preset):
            if reason := self.run(run):
                return f"it shows {run}, which is to be made again: {reason}"
        for path, digest in said["files"].items():
            if not (place := exhibit.place_of(path)).exists():
                return f"{path} is missing"
            if self.digests.sha256(place) != digest:
                return f"made from another {path}"
        for file, digest in said["made"].items():
            if self.digests.sha256(Path(source).with_name(file)) != digest:
                return f"{Path(source).with_name(file)} has changed since it was made"
        return None

    def page(self, name: str) -> str | None:
        """Why a notebook's page must be made again."""
        page = f"{self.preset.root}/notebooks/{name}.html"
        return self._once(page, lambda: self._page(name, page) if Path(page).exists() else None)

    def _page(self, name: str, page: str) -> str | None:
        for run in base_runs(self.preset):
            if reason := self.run(run):
                return f"it shows {run}, which is to be made again: {reason}"
        said = self.digests.fact("page", [page], lambda: notebooks.sealed(page))
        if said is None:
            return f"{page} has changed since it was made, or was made by an earlier version"
        return None if said == notebooks.made_from(self.preset, name, self.digests) else "made from other files"


def expected_content(config: Config, dataset: str, digests: Digests) -> str | None:
    """The digest of what a dataset would be prepared from; None where that can't be seen from here.

    That is so for what is embedded, for what lies behind an address, and for a folder or mirror that is not there.
    """
    own = config.own_dataset(dataset)
    try:
        place = expanded(own.folder) if own else located(dataset, config.mirror(dataset))
    except InputError:  # an empty mirror: what is prepared stays
        return None
    if place is None or not place.exists():
        return None
    if place.is_file():
        return digests.sha256(place)
    return str(digests.fact(f"content of {dataset} in", listing_of(place), lambda: content_of(place)))


def _of_exhibit(path: str) -> Json:
    """What an exhibit says that it was made from; InputError if an earlier version left it."""
    content = files.read_json(path)
    if not isinstance(content.get("files"), dict) or not isinstance(content.get("made"), dict):
        raise InputError(f"{path} was {OLD}")
    return {"plan": content.get("plan"), "files": content["files"], "made": content["made"]}


def drop_resume_states(preset: Preset) -> None:
    """Remove what finished runs went on from: jobs of a cluster leave it until Snakemake has taken what they made."""
    for run in runs_of_target(preset, "all"):
        folder = Path(preset.folder(run))
        with contextlib.suppress(OSError):
            if (folder / "resume.pt").exists() and all((folder / name).exists() for name in RUN_FILES):
                (folder / "resume.pt").unlink()

"""A run that another preset has made with the same settings isn't made twice: its files, under this one's name.

Only the preset's name and the digests of parents, in which that name stands, differ between such runs. So a run may be
taken whose parents here are, these two apart, those that it was made from, and what is written is, to the byte, what
making it would leave in `model.pt`, `metrics.json` and `predictions.npz`; `provenance.json` keeps the machine, time and
energy of the making and says in which preset it took place. Of kept results ANNs alone are shared: their parents' bytes
are not all kept.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lasnn.pipeline.freshness import DAMAGE, Judge
from lasnn.pipeline.kept import ALSO
from lasnn.pipeline.kept import take_up as take_up_kept
from lasnn.pipeline.workflow import RUN_FILES
from lasnn.plan.config import Preset
from lasnn.plan.runs import AnnRun, Run
from lasnn.storage import files


def take_up(preset: Preset, run: Run) -> Path | None:
    """Put in place a kept run, or another preset's, that is what the plan asks for; where it lay, None without one."""
    if place := take_up_kept(preset, run):
        return place
    place = next((one for one in _candidates(preset, run) if _from_the_same(preset, run, one)), None)
    if place:
        put(preset, place, Path(preset.folder(run)))
    return place


def same_elsewhere(preset: Preset, run: Run, below: Path | None = None) -> Path | None:
    """The folder of the same run in another preset, whole and as that one plans it; None if there is none.

    Its parents here, or where they would be taken from, say the same as those that it was made from. `below`: a folder
    of kept presets, where ANNs alone are looked for; by default the folder of results.
    """
    if below and not isinstance(run, AnnRun):
        return None
    return next(_candidates(preset, run, below), None)


def _candidates(preset: Preset, run: Run, below: Path | None = None) -> Iterator[Path]:
    """Every such folder."""
    for name in preset.config.file.presets:
        folder = (below or Path(preset.config.file.folders.results)) / name / str(run)
        if name == preset.name or preset.adopted(run) or not _whole(folder):
            continue
        other = preset.config.preset(name)
        if other.adopted(run) or other.settings(run) != preset.settings(run):
            continue
        try:
            made_now = files.read_json(folder / "metrics.json")["revision"] == run.REVISION
            if made_now and Judge(other).unfit_in(run, folder) is None and _parents_alike(preset, other, run):
                yield folder
        except DAMAGE:
            continue


def _whole(folder: Path) -> bool:
    return all((folder / file).is_file() for file in RUN_FILES)


def _parents_alike(preset: Preset, other: Preset, run: Run) -> bool:
    """Whether both presets' runs have parents of the same names that are alike, or would be; without torch."""
    parents, judge = preset.parents(run), Judge(preset, checkpoints=True)
    return parents == other.parents(run) and all(
        _alike(Path(preset.folder(parent)), Path(other.folder(parent)))
        if _whole(Path(preset.folder(parent))) and judge.run(parent) is None
        else Path(other.folder(parent)) in _candidates(preset, parent)
        for parent in parents
    )


def _alike(own: Path, theirs: Path) -> bool:
    """Whether two runs say the same of themselves, the preset's name and their parents' digests apart."""
    if not _whole(theirs):
        return False
    first, second = (
        files.read_json(folder / "metrics.json") | {"preset": "", "parents": {}} for folder in (own, theirs)
    )
    return first == second and files.sha256(own / "predictions.npz") == files.sha256(theirs / "predictions.npz")


def _from_the_same(preset: Preset, run: Run, place: Path) -> bool:
    """Whether the parents here have the very weights that the run in `place` was made from."""
    root = str(place).removesuffix(str(run))
    return all(gives(preset, Path(root, str(parent)), Path(preset.folder(parent))) for parent in preset.parents(run))


def gives(preset: Preset, source: Path, own: Path) -> bool:
    """Whether the run in `source` has, under the name of `preset`, the checkpoint that lies in `own`."""
    if not (own / "model.pt").is_file():
        return False
    from lasnn.training.composing import readdressed

    parents = files.read_json(own / "metrics.json")["parents"]
    there = hashlib.sha256(readdressed(source / "model.pt", preset.name, parents)).hexdigest()
    return files.sha256(own / "model.pt") == there


def put(preset: Preset, source: Path, target: Path) -> None:
    """Write the files of the run in `source` to `target` as a run of `preset`; the checkpoint last, as a run does.

    Its parents lie in their places. InputError if the checkpoint is damaged.
    """
    from lasnn.training.composing import readdressed  # torch is loaded only here

    metrics, provenance = (files.read_json(source / name) for name in ("metrics.json", "provenance.json"))
    parents = {path: files.sha256(Path(preset.root, path, "model.pt")) for path in metrics["parents"]}
    checkpoint = readdressed(source / "model.pt", preset.name, parents)
    said = {"preset": preset.name, "parents": parents}
    if (source / ALSO).is_file():
        files.write_bytes(target / ALSO, (source / ALSO).read_bytes())
    files.write_bytes(target / "predictions.npz", (source / "predictions.npz").read_bytes())
    files.write_json(target / "metrics.json", metrics | said, seal=True)
    files.write_bytes(target / "model.pt", checkpoint)
    digests = {name: files.sha256(target / name) for name in provenance["files"]}
    made = {"files": digests, "trained_in": metrics["preset"]}
    files.write_json(target / "provenance.json", provenance | said | made, seal=True)

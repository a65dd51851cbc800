"""An ANN that another preset has trained with the same settings isn't trained twice: its files, under this one's name.

Only the preset's name differs between such runs, so what is written here is, to the byte, what a training would leave
in `model.pt`, `metrics.json` and `predictions.npz`; `provenance.json` keeps the machine, time and energy of the
training and says in which preset it took place. Runs with parents are not shared: they name their parents' bytes, in
which the preset's name stands.
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
    if place := same_elsewhere(preset, run):
        put(preset, place, Path(preset.folder(run)))
    return place


def same_elsewhere(preset: Preset, run: Run, below: Path | None = None) -> Path | None:
    """The folder of the same training in another preset, whole and as that one plans it; None if there is none.

    `below`: the folder of the presets, by default the one of results.
    """
    if not isinstance(run, AnnRun) or preset.adopted(run):
        return None
    return next(_candidates(preset, run, below or Path(preset.config.file.folders.results)), None)


def _candidates(preset: Preset, run: AnnRun, below: Path) -> Iterator[Path]:
    for name in preset.config.file.presets:
        folder = below / name / str(run)
        if name == preset.name or not all((folder / file).is_file() for file in RUN_FILES):
            continue
        other = preset.config.preset(name)
        if other.adopted(run) or other.settings(run) != preset.settings(run):
            continue
        try:
            made_now = files.read_json(folder / "metrics.json")["revision"] == run.REVISION
            if made_now and Judge(other).unfit_in(run, folder) is None:
                yield folder
        except DAMAGE:
            continue


def gives(preset: Preset, source: Path, own: Path) -> bool:
    """Whether the run in `source` has, under the name of `preset`, the checkpoint that lies in `own`."""
    from lasnn.training.composing import readdressed

    there = hashlib.sha256(readdressed(source / "model.pt", preset.name)).hexdigest()
    return (own / "model.pt").is_file() and files.sha256(own / "model.pt") == there


def put(preset: Preset, source: Path, target: Path) -> None:
    """Write the files of the run in `source` to `target` as a run of `preset`; the checkpoint last, as a run does.

    InputError if the checkpoint is damaged.
    """
    from lasnn.training.composing import readdressed  # torch is loaded only here

    metrics, provenance = (files.read_json(source / name) for name in ("metrics.json", "provenance.json"))
    checkpoint = readdressed(source / "model.pt", preset.name)
    if (source / ALSO).is_file():
        files.write_bytes(target / ALSO, (source / ALSO).read_bytes())
    files.write_bytes(target / "predictions.npz", (source / "predictions.npz").read_bytes())
    files.write_json(target / "metrics.json", metrics | {"preset": preset.name}, seal=True)
    files.write_bytes(target / "model.pt", checkpoint)
    digests = {name: files.sha256(target / name) for name in provenance["files"]}
    said = {"preset": preset.name, "files": digests, "trained_in": metrics["preset"]}
    files.write_json(target / "provenance.json", provenance | said, seal=True)

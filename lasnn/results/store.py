"""Finished runs that lie elsewhere: one store, in which a run is found by its fingerprint.

It is seen from three sides. Below `results/.kept/<preset>/<run>/<digest>/` lie runs that something was about to replace
(links, which cost no room while the run is in place; delete the folder to free the room). Below
`results/<preset>/` of every other preset lie runs that were made there. Below `results/reference/` lie those that are
kept in git, which `import` alone takes.

A run is taken if it is whole, fits the plan here and was made from the weights that its parents have here. What another
preset made differs in the preset's name and in the digests of parents, which depend on that name: those are written
anew, and to the byte `model.pt`, `metrics.json` and `predictions.npz` are what making the run here would leave;
`provenance.json` keeps machine, time and energy of the making and says in which preset it took place.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.results.fits import RUN_FILES, checkpoint_of, damaged, identity_of, unfit
from lasnn.storage import files
from lasnn.storage.digests import Digests

ALLOWED = "LASNN_KEPT"  # environment variable that tells jobs that they may take runs: forced words as JSON
EVERYTHING = "*"  # a forced word that means every run
LOG = "log.jsonl"


@dataclass(frozen=True)
class Held:
    """A folder that may hold a run, and the folder of the preset that made it, in which its parents lay."""

    folder: Path
    root: Path


def folder_of(preset: Preset) -> Path:
    """Where a preset's replaced runs lie."""
    return Path(preset.config.file.folders.results, ".kept", preset.name)


def keep(preset: Preset, run: Run, digests: Digests | None = None) -> Path | None:
    """Keep a run's files, whether or not it fits; where it lies now, None if there is nothing finished."""
    folder, digests = Path(preset.folder(run)), digests or Digests(None)
    there = [name for name in (*RUN_FILES, LOG) if (folder / name).is_file()]
    if "metrics.json" not in there:
        return None
    told = {name: digests.sha256(folder / name) for name in there if name not in ("provenance.json", LOG)}
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    place = folder_of(preset) / str(run) / key
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=".", suffix=".part"))
    try:
        for name in there:
            _linked(folder / name, scratch / name)
        os.chmod(scratch, 0o777 & ~files.umask())
        os.rename(scratch, place)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        if not place.is_dir():  # else another process has just kept the same
            raise
    return place


def keep_images(path: Path, digest: str) -> None:
    """Keep prepared images that are about to be replaced, under the digest that runs made from them name."""
    place = path.parent / ".kept" / f"{path.stem}-{digest[:16]}{path.suffix}"
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        _linked(path, place)


def allow(forced: list[str]) -> None:
    """Let the jobs of this process take runs from the store, but for those that these words mean."""
    os.environ[ALLOWED] = json.dumps(forced)


def may_take(run: Run, folder: str) -> bool:
    """Whether this process is a job of a workflow that was not told to make this very run again."""
    if ALLOWED not in os.environ:
        return False
    forced = set(json.loads(os.environ[ALLOWED]))
    mine = {EVERYTHING, run.kind, *(f"{folder.rstrip('/')}/{name}" for name in RUN_FILES)}
    return not mine & forced


def held(preset: Preset, run: Run) -> Iterator[Held]:
    """Every folder that may hold a run: of this preset first; of what was replaced the latest first."""
    results = Path(preset.config.file.folders.results)
    names = [preset.name, *(name for name in preset.config.file.presets if name != preset.name)]
    for name in names:
        places = (results / ".kept" / name / str(run)).glob("[0-9a-f]*")
        yield from (Held(place, results / name) for place in sorted(places, key=os.path.getmtime, reverse=True))
        if name != preset.name:
            yield Held(results / name / str(run), results / name)


def finished(preset: Preset, run: Run) -> Iterator[Held]:
    """Those of them that are whole and what the plan asks for."""
    return (one for one in held(preset, run) if is_whole(one.folder) and fits(preset, run, one))


def is_whole(folder: Path) -> bool:
    """Whether a run's files are all there."""
    return all((folder / name).is_file() for name in RUN_FILES)


def fits(preset: Preset, run: Run, one: Held) -> bool:
    """Whether the run in a folder is undamaged and what `preset` asks for; one that can't be read is not."""
    try:
        return unfit(preset, run, one.folder, one.root) is None and damaged(one.folder) is None
    except (InputError, OSError):
        return False


def take(preset: Preset, run: Run) -> Path | None:
    """Put in place the first that was made from the parents' weights that are here; where it lay, None without one.

    What a killed writer left there goes, and so does the state from which an unfinished run would have gone on.
    """
    folder = Path(preset.folder(run))
    for one in finished(preset, run):
        if has_our_parents(preset, one):
            files.sweep(folder)
            put(preset, one.folder, folder)
            (folder / "resume.pt").unlink(missing_ok=True)
            return one.folder
    return None


def has_our_parents(preset: Preset, one: Held) -> bool:
    """Whether the parents here have the very weights that a held run was made from."""
    for parent, digest in identity_of(one.folder, Digests(None))["parents"].items():
        own = checkpoint_of(Path(preset.root, parent), Digests(None))
        if own is None or (own != digest and not gives(preset, one.root / parent, Path(preset.root, parent))):
            return False
    return True


def gives(preset: Preset, source: Path, own: Path) -> bool:
    """Whether the run in `source` has, under the name of `preset`, the checkpoint that lies in `own`."""
    if source == own or not (own / "model.pt").is_file() or not (source / "model.pt").is_file():
        return False
    content = readdressed(source / "model.pt", preset.name, identity_of(own, Digests(None))["parents"])
    return files.sha256(own / "model.pt") == hashlib.sha256(content).hexdigest()


def put(preset: Preset, source: Path, target: Path) -> None:
    """Write the files of the run in `source` to `target` as a run of `preset`, whose parents lie in their places.

    InputError if a file is damaged, with nothing of the target touched.
    """
    metrics, provenance = (files.read_json(source / name) for name in ("metrics.json", "provenance.json"))
    with files.together(target, (LOG, *RUN_FILES)) as scratch:
        for name in (LOG, *RUN_FILES):
            if (source / name).is_file():
                _linked(source / name, scratch / name)
        if metrics["preset"] != preset.name:
            parents = {path: files.sha256(Path(preset.root, path, "model.pt")) for path in metrics["parents"]}
            said = {"preset": preset.name, "parents": parents}
            files.write_bytes(scratch / "model.pt", readdressed(source / "model.pt", preset.name, parents))
            files.write_json(scratch / "metrics.json", metrics | said, seal=True)
            digests = {name: files.sha256(scratch / name) for name in provenance["files"]}
            made = {"files": digests, "trained_in": metrics["preset"]}
            files.write_json(scratch / "provenance.json", provenance | said | made, seal=True)


def readdressed(path: Path, preset: str, parents: dict[str, str]) -> bytes:
    """The checkpoint at `path` as a run of `preset` from these parents (path: digest) would have written it.

    InputError if it is damaged.
    """
    from lasnn.storage import checkpoint  # torch is loaded only here

    weights, meta = checkpoint.load(path)
    return checkpoint.packed(weights, meta | {"preset": preset, "parents": parents})


def _linked(source: Path, target: Path) -> None:
    """Another name for a file, where none is."""
    try:
        os.link(source, target)
    except OSError:  # a file system without links, a limit on their number, the file of another user
        files.write_bytes(target, source.read_bytes())

"""Every state of dvc.lock that was recorded, so that what an overwritten one named can be found again.

`dvc exp apply` puts another dvc.lock in place and removes from the workspace what that does not name. The states lie
in `results/.kept/<preset>/locks/`, and the files that they name in DVC's cache.
"""

import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.results import store
from lasnn.results.store import Held
from lasnn.storage import files


def keep(preset: Preset, lock: Path) -> None:
    """Keep the present state of a dvc.lock, unless it is kept already."""
    if not lock.exists():
        return
    content, folder = lock.read_bytes(), _folder(preset)
    name = sha256(content).hexdigest()[:16]
    if not any(path.stem.endswith(name) for path in states(preset)):
        files.write_bytes(folder / f"{len(states(preset)):05d}-{name}.lock", content)


def states(preset: Preset) -> list[Path]:
    """The kept states, the latest first."""
    return sorted(_folder(preset).glob("*.lock"), reverse=True)


def bring(preset: Preset, wanted: dict[str, Run | None]) -> list[str]:
    """Put runs in place that a kept state names, that the cache holds and that are what the plan asks for."""
    missing, brought = dict(wanted), []
    cache = _cache()
    for outs_by_stage in map(_stages, states(preset)):
        for stage, run in list(missing.items()):
            if stage in outs_by_stage and _placed(outs_by_stage[stage], run, preset, cache):
                brought.append(stage)
                del missing[stage]
    return brought


def _placed(outs: dict[str, str], run: Run | None, preset: Preset, cache: Path) -> bool:
    """Copy a stage's files out of the cache if all are there and, of a run, fit the plan."""
    sources = {Path(path): cache / md5[:2] / md5[2:] for path, md5 in outs.items()}
    if not all(source.is_file() for source in sources.values()):
        return False
    shelf = store.folder_of(preset)
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shelf, prefix=".", suffix=".part") as scratch:
        for path, source in sources.items():
            shutil.copyfile(source, Path(scratch, path.name))
        one = Held(Path(scratch), Path(preset.root))
        if run and not (store.fits(preset, run, one) and store.has_our_parents(preset, one)):
            return False
        for path in reversed(sources):  # the checkpoint, which is named first, comes last
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(scratch, path.name), path)
    return True


def _stages(state: Path) -> dict[str, dict[str, str]]:
    """Stage -> path -> MD5 of each file, as a state names them."""
    try:
        content = yaml.safe_load(state.read_text(encoding="utf-8"))["stages"]
        return {name: dict(_outs(stage)) for name, stage in content.items()}
    except (
        OSError,
        UnicodeError,
        yaml.YAMLError,
        KeyError,
        TypeError,
        AttributeError,
    ):
        return {}


def _outs(stage: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for out in stage.get("outs", []):
        yield out["path"], out["md5"]


def _cache() -> Path:
    from dvc.repo import Repo

    with Repo() as repo:
        return Path(repo.cache.local.path)


def _folder(preset: Preset) -> Path:
    return store.folder_of(preset) / "locks"

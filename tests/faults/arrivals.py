"""Files that arrive or change by other ways than Snakemake: what lies there ends as the right bytes, or as one line.

Each try disturbs a finished chain in one way, lets the judge of the workflow say what must be made again, makes that by
the command line's own verbs, and compares every run with what the plan's settings give. Silently wrong is what ends
without a line and with other bytes.
"""

import itertools
import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from lasnn.__main__ import main
from lasnn.datasets import arrays
from lasnn.errors import InputError
from lasnn.pipeline.freshness import Judge
from lasnn.plan.config import Config, dump, read
from lasnn.plan.overlays import merged, parsed, understood
from lasnn.plan.own import weights_path
from lasnn.plan.runs import Run, parse
from lasnn.results import store
from lasnn.results.fits import RUN_FILES
from lasnn.storage import checkpoint, files
from tests.tiny import change_a_pixel, described, write_yaml

from .tiny import ANN, CHAIN, CONVERTED, HASHED, SNN, TEACHER, Ended, Place, Tally, forked

HEAVIER = {"weight_decay": 0.01}
# Settings of which every run of the chain reads some.
OTHER = {"presets": {"quick": {"teacher": HEAVIER, "ann": HEAVIER, "curve": {"scales": [1, 0.8]}, "student": HEAVIER}}}
SECTIONS = {ANN: "ann", TEACHER: "teacher", CONVERTED: "curve", SNN: "student"}  # what only this one of the chain reads
FILES = (*RUN_FILES, store.LOG)
Way = Callable[["Field", str, random.Random], None]


class Field:
    """A finished chain, the same made with other settings, and a copy to disturb."""

    def __init__(self, place: Place):
        self.place, self.others = place, Place(place.folder / "others", **OTHER)
        if not (self.others.folder / "data").exists():
            self.others.prepare()
        self.whole = place.folder / "whole"
        if not self.whole.exists():
            shutil.copytree(place.results, self.whole)
        self.expected = {path: place.digests(path) for path in CHAIN}
        self.expected_of_others = {path: self.others.digests(path) for path in CHAIN}
        self.images = place.folder / "data" / "digits.npz"
        self.data = self.images.read_bytes()
        self.settings = place.config.read_text()

    def restore(self, *, keep: bool) -> None:
        """Everything as it was; without `keep` nothing that could be taken up."""
        for path in CHAIN:
            folder = self.place.run(path)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.whole / "quick" / path, folder)
        for other in ("second", "reference", ".kept"):
            shutil.rmtree(self.place.results / other, ignore_errors=True)
        self.images.write_bytes(self.data)
        self.place.config.write_text(self.settings)
        if keep:
            preset = self.config().preset()
            for path in CHAIN:
                store.keep(preset, parse(path))

    def change(self, **overlay: object) -> None:
        """Change the configuration."""
        write_yaml(self.place.config, merged(understood(self.settings), overlay))

    def config(self) -> Config:
        return read(self.place.config)

    def workflow(self) -> Ended:
        """What a call of the workflow does with the chain, in a process of its own: judge, keep, make in order."""

        def action() -> int:
            store.allow([])
            preset = self.config().preset()
            judge, made = Judge(preset), set()
            ordered = [path for path in CHAIN if judge.run(parse(path)) or not self.there(path)]
            lacking = ordered and not Path(preset.config.data_file("digits")).exists()
            if lacking and (status := main(["data", "digits", "--config", str(self.place.config)])):
                return status
            for path in CHAIN:
                run: Run = parse(path)
                if path in ordered or made.intersection(map(str, preset.parents(run))):
                    store.keep(preset, run, judge.digests)
                    for name in RUN_FILES:
                        (self.place.run(path) / name).unlink(missing_ok=True)
                    if status := main([run.kind, str(self.place.run(path)), "--config", str(self.place.config)]):
                        return status
                    made.add(path)
            return 0

        return forked(action, self.place.said)

    def there(self, path: str) -> bool:
        return all((self.place.run(path) / name).exists() for name in RUN_FILES)


# ---- the ways --------------------------------------------------------------------------------------------------------


def copied(*names: str, times: str = "now") -> Way:
    """Files of a run with other settings, under the names of this one (rsync, tar, an older checkout, an import)."""

    def way(field: Field, path: str, draw: random.Random) -> None:
        for name in names or FILES:
            source, target = field.others.run(path) / name, field.place.run(path) / name
            if source.exists():
                target.unlink(missing_ok=True)
                shutil.copyfile(source, target)
                when = {"now": None, "1970": (1, 1), "2099": (4e9, 4e9), "kept": (source.stat().st_mtime,) * 2}[times]
                os.utime(target, when)

    return way


def linked(field: Field, path: str, draw: random.Random) -> None:
    shutil.rmtree(field.place.run(path))
    field.place.run(path).symlink_to(field.others.run(path))


def hard_linked(field: Field, path: str, draw: random.Random) -> None:
    for name in FILES:
        if (field.others.run(path) / name).exists():
            (field.place.run(path) / name).unlink(missing_ok=True)
            os.link(field.others.run(path) / name, field.place.run(path) / name)


def moved(field: Field, path: str, draw: random.Random) -> None:
    """Another folder in this place, with its dates."""
    shutil.rmtree(field.place.run(path))
    shutil.copytree(field.others.run(path), field.place.run(path))


def unpacked(field: Field, path: str, draw: random.Random) -> None:
    archive = field.place.folder / "run.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(field.others.run(path), arcname=".")
    shutil.unpack_archive(archive, field.place.run(path))


def by_a_verb(field: Field, path: str, draw: random.Random) -> None:
    """`python -m lasnn snn <folder> --config other.yaml`, which leaves what was there among what is kept."""
    content = parsed(field.others.config)
    content["folders"] = understood(field.settings)["folders"]
    other = field.place.folder / "other.yaml"
    write_yaml(other, content)
    run = parse(path)
    for parent in Config(content).preset().parents(run):  # a verb refuses parents of other settings
        copied()(field, str(parent), draw)
    forked(lambda: main([run.kind, str(field.place.run(path)), "--config", str(other)]), field.place.said)


def of_another_run(field: Field, path: str, draw: random.Random) -> None:
    source = draw.choice([one for one in CHAIN if one != path])
    shutil.copytree(field.place.run(source), field.place.run(path), copy_function=shutil.copyfile, dirs_exist_ok=True)


def half_a_copy(field: Field, path: str, draw: random.Random) -> None:
    name = draw.choice(RUN_FILES)
    content = (field.others.run(path) / name).read_bytes()
    (field.place.run(path) / name).write_bytes(content[: len(content) // 2])


def a_byte(field: Field, path: str, draw: random.Random) -> None:
    """Changed in place, with size and date kept."""
    target = field.place.run(path) / draw.choice(RUN_FILES)
    content, before = bytearray(target.read_bytes()), target.stat()
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    target.write_bytes(content)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))


def other_bytes(field: Field, path: str, draw: random.Random) -> None:
    """The same settings and other weights, all digests right: a run of another machine."""
    folder = field.place.run(path)
    weights, meta = checkpoint.load(folder / "model.pt")
    name = draw.choice([name for name, value in weights.items() if value.is_floating_point()])
    checkpoint.save(folder / "model.pt", weights | {name: weights[name] * 1.01}, meta)
    described(folder)


def of_an_earlier_commit(field: Field, path: str, draw: random.Random) -> None:
    """An older revision, metrics without what was added since, or provenance without digests."""
    folder = field.place.run(path)
    metrics, made = files.read_json(folder / "metrics.json"), files.read_json(folder / "provenance.json")
    what = draw.choice(("revision", "metrics", "provenance"))
    if what == "revision":
        for content in (metrics, made):
            content["settings"]["revision"] = content["revision"] = metrics["revision"] - 1
    elif what == "metrics":
        metrics.pop(draw.choice(("data", "parents", "run", "settings")))
    else:
        made.pop("files")
    files.write_json(folder / "metrics.json", metrics)
    files.write_json(folder / "provenance.json", made)
    if what != "provenance":
        described(folder)


def deleted(name: str = "") -> Way:
    return lambda field, path, draw: (
        (field.place.run(path) / name).unlink() if name else shutil.rmtree(field.place.run(path))
    )


def touched(field: Field, path: str, draw: random.Random) -> None:
    """`--touch` after a changed setting: notes and times say that all is well."""
    settings_changed(field, path, draw)
    for file in field.place.run(path).iterdir():
        os.utime(file)


def settings_changed(field: Field, path: str, draw: random.Random) -> None:
    field.change(**OTHER)


def of_this_run(path: str) -> dict:
    """Other settings of one run of the chain and of no other."""
    section = SECTIONS[path]
    return {section: OTHER["presets"]["quick"][section]}


def parent_changed_and_gone(field: Field, path: str, draw: random.Random) -> None:
    """Its folder deleted as well: nothing is there that was made with the former settings but its children."""
    field.change(presets={"quick": of_this_run(path)})
    for one in draw.choice(([path], [path, *CHAIN[:3]])):
        shutil.rmtree(field.place.run(one), ignore_errors=True)


def weights_exchanged(field: Field, path: str, draw: random.Random) -> None:
    """The ANN is to have weights of elsewhere, in place of those that it was trained to; its folder is deleted."""
    weights, _ = checkpoint.load(field.others.run(ANN) / "model.pt")
    file = field.place.folder / "elsewhere.pt"
    torch.save(weights, file)
    entry = {"file": file.name, "sha256": files.sha256(file)}
    field.change(adopted={f"quick/{ANN}": entry})
    config = field.config()
    kept = weights_path(config.file.folders.data, config.file.adopted[f"quick/{ANN}"])
    kept.parent.mkdir(exist_ok=True)
    shutil.copyfile(file, kept)
    for one in draw.choice(([ANN], [ANN, path])):
        shutil.rmtree(field.place.run(one), ignore_errors=True)


def stale_runs_exported(field: Field, path: str, draw: random.Random) -> None:
    """And imported again where there is nothing else."""
    parent_changed_and_gone(field, path, draw)

    def action() -> int:
        config = ["--config", str(field.place.config)]
        status = main(["export", *config])
        shutil.rmtree(field.place.results / "quick")
        return status or main(["import", *config])

    assert forked(action, field.place.said).status in (0, 2)  # 2: nothing was worth keeping


def of_another_preset(field: Field, path: str, draw: random.Random) -> None:
    """The chain as a second preset made it, with the same settings or with others, of some or of all runs."""
    presets = understood(field.settings)["presets"]
    second = draw.choice(({}, of_this_run(path), OTHER["presets"]["quick"]))
    field.change(presets={"second": merged(presets["quick"], second)})
    whole = field.others if second == OTHER["presets"]["quick"] else field.place
    preset = field.config().preset("second")
    for one in CHAIN:
        store.put(preset, whole.run(one), field.place.results / "second" / one)
    for one in draw.choice(([path], CHAIN)):
        shutil.rmtree(field.place.run(one))


def data_deleted(field: Field, path: str, draw: random.Random) -> None:
    field.images.unlink()
    deleted()(field, path, draw)


def data_swapped(field: Field, path: str, draw: random.Random) -> None:
    """Prepared images of another source under this name."""
    change_a_pixel(field.images, draw.randrange(1000))


BESIDE = (unpacked, moved, linked, hard_linked, by_a_verb, of_another_run, of_another_preset, stale_runs_exported)
INSIDE = (half_a_copy, a_byte, other_bytes, of_an_earlier_commit, weights_exchanged, data_deleted, data_swapped)
CHANGED = (touched, settings_changed, parent_changed_and_gone)
WAYS: dict[str, Way] = {way.__name__: way for way in (*BESIDE, *INSIDE, *CHANGED)}
WAYS |= {f"copied, times {times}": copied(times=times) for times in ("now", "1970", "2099", "kept")}
WAYS |= {f"{name} alone": copied(name) for name in RUN_FILES} | {"all but the checkpoint": copied(*RUN_FILES[1:])}
WAYS |= {f"{name or 'folder'} deleted": deleted(name) for name in ("", "metrics.json", "provenance.json")}
# Where the files are a run of the same settings on another machine, the plan has no other opinion of them; what follows
# from them must be made from them. Where the images are others, every run must be made from these.
CONSISTENT = {way.__name__ for way in (other_bytes, data_swapped, parent_changed_and_gone)}
CONSISTENT |= {weights_exchanged.__name__, stale_runs_exported.__name__}


def arrive(place: Place, count: int) -> Tally:
    """`count` tries over all ways and all runs of the chain, half of them with runs that may be taken up."""
    field, tally = Field(place), Tally("files that arrived by other ways")
    for index, (name, path) in zip(range(count), _pairs(), strict=False):
        draw = random.Random(index)
        field.restore(keep=bool(draw.randrange(2)))
        WAYS[name](field, path, draw)
        ended = field.workflow()
        fault = _fault(field, name, ended)
        what = "one line" if ended.status else "right"
        tally.add(fault is None, what if fault is None else "WRONG", f"{name}, {path}: {fault}")
        if field.place.run(path).is_symlink():
            field.place.run(path).unlink()
    field.restore(keep=False)
    return tally


def _pairs() -> Iterator[tuple[str, str]]:
    """Every way once, then every way for another run, again and again."""
    for turn in itertools.count():
        yield from ((name, CHAIN[(turn + index) % len(CHAIN)]) for index, name in enumerate(WAYS))


def _fault(field: Field, name: str, ended: Ended) -> str | None:
    if not ended.one_line(ended.status):
        return f"status {ended.status}: {ended.said[-300:]}"
    if ended.status:
        return None
    if name in CONSISTENT:
        return _inconsistent(field)
    expected = field.expected_of_others if name in ("touched", "settings_changed") else field.expected
    for path in CHAIN:
        found = field.place.digests(path)
        wrong = [one for one in HASHED if found.get(one) != expected[path][one]]
        if wrong:
            return f"{path}: {wrong[0]} is not what the plan's settings give"
    return None


def _inconsistent(field: Field) -> str | None:
    """A run that was not made from the parents, images and settings that are there, or is not as it says."""
    digest = arrays.header_of(field.images)["digest"]
    preset = field.config().preset()
    for path in CHAIN:
        folder = field.place.run(path)
        try:
            metrics, made = files.read_json(folder / "metrics.json"), files.read_json(folder / "provenance.json")
        except InputError as error:
            return str(error)
        if metrics["settings"] != json.loads(dump(preset.settings(parse(path)))):
            return f"{path} was made with other settings"
        if sorted(metrics["parents"]) != sorted(map(str, preset.parents(parse(path)))):
            return f"{path} was made from other runs"
        if metrics["data"]["digest"] != digest:
            return f"{path} was made from other images"
        for parent, stated in metrics["parents"].items():
            if files.sha256(field.place.run(parent) / "model.pt") != stated:
                return f"{path} was made from another {parent}"
        for name, stated in made["files"].items():
            if files.sha256(folder / name) != stated:
                return f"{path}: {name} is not the file that is described"
    return None

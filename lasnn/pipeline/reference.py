"""Finished runs that are kept in git, and how another machine takes them up in place of training. No torch.

Below `results/reference/<preset>/` lie the runs' files under their usual paths, and the exhibits. The workflow never
reads or writes there: only `python -m lasnn export` and `import` do.

Of checkpoints those are kept that other runs start from and that a training made: teachers and students' ANNs. A
spiking network from which nothing starts is left out, but for `SAMPLES`; so are teachers on demand and what came from
another machine without its checkpoint (`left_out.json` names these). So is what follows from the kept files without a
training (`lasnn.training.leaving`), if it follows to the byte when it is exported: `import` composes it again, and
takes the run without its checkpoint where the digest is another. Of an ANN that is kept under another preset, with the
same fingerprint, only what it says of itself is kept again, for a reader and the site.
"""

import hashlib
import shutil
from pathlib import Path

from lasnn.errors import InputError
from lasnn.pipeline.freshness import Judge
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import AnnRun, ConvertedRun, Run, SnnRun
from lasnn.report import EXHIBITS, files_of, runs_of_target
from lasnn.results import scores, store
from lasnn.results.fits import RUN_FILES, unfit
from lasnn.results.store import Held
from lasnn.storage import files

PICTURES = (".svg", ".png")
SUMS = "SHA256SUMS"  # of every kept file of a preset, as `sha256sum --check` reads it
LEFT_OUT = "left_out.json"  # runs of which files stayed behind on purpose; of no other may one be missing
CHECKPOINTS, ELSEWHERE = "checkpoints", "elsewhere"  # in it: without that file; kept whole under another preset
SAMPLES = {  # preset: spiking networks whose checkpoints are kept for `lasnn.load`; 0.6 MB each
    "verdicts": tuple(
        f"snn/cifar10/vgg5/{one}/base/s0"
        for one in ("hybrid/poisson-T16/none", "kd_label/poisson-T16/vgg16bn", "lasnn_act/poisson-T16/vgg16bn")
    )
}
SAID = ("metrics.json", "provenance.json")  # what a run says of itself


def place(config: Config) -> Path:
    """Where kept results lie, in a folder for each preset."""
    return Path(config.file.folders.results, "reference")


def folder_of(preset: Preset) -> Path:
    """Where a preset's kept results lie."""
    return place(preset.config) / preset.name


def recorded(folder: Path) -> dict[str, str]:
    """Digests of all kept files of a preset by their paths below its folder; InputError if none are recorded."""
    path = folder / SUMS
    try:
        pairs = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
        return {name: digest for digest, name in pairs}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read ({error}): `git checkout {path}`") from None


def kept_at(preset: Preset, run: Run) -> Path:
    """Where a run's kept files lie: among its preset's, but for an ANN that is whole under another preset only."""
    own = folder_of(preset) / str(run)
    return own if store.is_whole(own) else _elsewhere(preset, run) or own


def described(preset: Preset, run: Run) -> list[str]:
    """Names of a run's files that are always kept: all but the checkpoint."""
    return [name for name in RUN_FILES if name != "model.pt"] + (["log.jsonl"] if preset.has_training_log(run) else [])


def is_leaf(preset: Preset, run: Run) -> bool:
    """Whether a run is a spiking network from which no other of the plan starts."""
    started_from = {parent for other in runs_of_target(preset, "all") for parent in preset.parents(other)}
    return isinstance(run, SnnRun) and run not in started_from


def follows(preset: Preset, run: Run) -> bool:
    """Whether a run's checkpoint follows from other files without any training."""
    untrained = isinstance(run, AnnRun) and not preset.adopted(run) and not preset.has_training_log(run)
    return untrained or isinstance(run, ConvertedRun)


def compose(preset: Preset, run: Run, folder: Path) -> bytes | None:
    """The checkpoint that follows from the metrics in `folder`; None if it isn't the one that its provenance states."""
    from lasnn.training.leaving import composed  # torch is loaded only here

    content = composed(preset, run, files.read_json(folder / "metrics.json"))
    stated = files.read_json(folder / "provenance.json")["files"].get("model.pt")
    return content if hashlib.sha256(content).hexdigest() == stated else None


def export(config: Config, name: str | None = None, with_runs: bool = True, with_checkpoints: bool = True) -> str:
    """Copy what is finished and fits the plan to the kept results; one line that says what was done.

    Pictures that show images of a dataset stay behind. Without `with_runs` only exhibits are kept, without
    `with_checkpoints` no checkpoint but the samples: exhibits need none, and a run that starts from one makes it again.
    """
    preset, count, others, spared, exported = config.preset(name), 0, {}, 0, []
    left_out: dict[str, list[str]] = {CHECKPOINTS: [], ELSEWHERE: []}
    judge = Judge(preset)
    for run in runs_of_target(preset, "all") if with_runs else ():
        if not Path(preset.folder(run), "metrics.json").exists():
            continue
        if reason := judge.run(run):
            others[str(run)] = reason
            continue
        exported.append(str(run))
        source, target = Path(preset.folder(run)), folder_of(preset) / str(run)
        other = _elsewhere(preset, run)
        if other and store.gives(preset, other, source) and _same(source / store.LOG, other / store.LOG):
            for file in {*RUN_FILES, *described(preset, run)}.difference(SAID):
                (target / file).unlink(missing_ok=True)
            count += sum(_copied(source / file, target / file) for file in SAID)
            left_out[ELSEWHERE].append(str(run))
            continue
        for file in described(preset, run):
            count += _copied(source / file, target / file)
        sample = str(run) in SAMPLES.get(preset.name, ())
        leaf = is_leaf(preset, run) and not sample
        unneeded = leaf or (follows(preset, run) and _may_be_composed(preset, run, source))
        if unneeded or not (sample or with_checkpoints):
            (target / "model.pt").unlink(missing_ok=True)
        elif (source / "model.pt").exists():
            count += _copied(source / "model.pt", target / "model.pt")
        elif (target / "model.pt").exists() and not _as_stated(target / "model.pt"):  # that of an earlier run
            (target / "model.pt").unlink()
        if not (target / "model.pt").exists():
            spared += 1
            left_out[CHECKPOINTS] += [] if unneeded else [str(run)]
    if with_runs:
        _name_left_out(folder_of(preset), left_out, exported)
    for exhibit in EXHIBITS:
        paths = [Path(path) for path in files_of(preset, exhibit)]
        if all(path.exists() for path in paths) and judge.exhibit(exhibit) is None:
            shown = [path for path in paths if not (EXHIBITS[exhibit].shows_images and path.suffix in PICTURES)]
            count += sum(_copied(path, folder_of(preset) / "exhibits" / path.name) for path in shown)
    _record(folder_of(preset))
    line = f"{count} files new or changed in {folder_of(preset)}, {spared} runs without their checkpoints"
    line += f", {len(shared)} kept under another preset already" if (shared := left_out[ELSEWHERE]) else ""
    return line + _left(others, "left out")


def take_up(config: Config, name: str | None = None) -> str:
    """Copy kept runs to where the workflow looks, parents first; one line that says what was done.

    A run is taken if nothing of it is there yet, or what is there doesn't fit the plan, and if its settings, revision,
    parents and images are those of the plan; what isn't taken is trained as usual. InputError if a kept file is damaged
    or there is nothing to take.
    """
    preset = config.preset(name)
    source = folder_of(preset)
    if not source.is_dir():
        known = sorted(path.name for path in source.parent.glob("*") if path.is_dir())
        raise InputError(f"no kept results {source}: there are some for {', '.join(known) or 'no preset'}")
    taken, there, others, lacking, judge = 0, 0, {}, [], Judge(preset)
    for run in runs_of_target(preset, "all"):
        kept, target, other = source / str(run), Path(preset.folder(run)), None
        elsewhere = _left_out(preset, run, ELSEWHERE)
        here = (kept / "metrics.json").exists() and not elsewhere
        if not here and not (other := _elsewhere(preset, run)):
            if elsewhere and not (target / "metrics.json").exists():
                others[str(run)] = "kept under another preset, where it isn't whole or not as planned any more"
            continue
        lies = any((target / name).exists() for name in RUN_FILES)
        if (target / "resume.pt").exists() or (lies and judge.run(run) is None):
            there += 1
        elif reason := _why_not(judge, run, None if other else kept):
            others[str(run)] = reason
        else:
            if other:
                store.keep(preset, run)
                store.put(preset, other, target)
            elif not _taken(preset, run, kept, target):
                lacking.append(f"{target}/model.pt")
            scores.write(preset, [run])
            taken += 1
    line = f"{taken} runs imported from {source}, {there} were there already" + _left(others, "not taken")
    if lacking:
        hint = f"`snakemake --cores 1 {lacking[0]}` makes it"
        line += f"; {len(lacking)} without the checkpoint, which is not kept or can't be composed here: {hint}"
    return line


def _name_left_out(folder: Path, runs: dict[str, list[str]], exported: list[str]) -> None:
    """Write which runs lack files on purpose; of those that were not exported now, what was written earlier stays."""
    before = files.read_json(folder / LEFT_OUT) if (folder / LEFT_OUT).exists() else {}
    both = {what: [*sorted(set(before.get(what, ())).difference(exported)), *names] for what, names in runs.items()}
    if named := {what: names for what, names in both.items() if names}:
        files.write_json(folder / LEFT_OUT, named)
    else:
        (folder / LEFT_OUT).unlink(missing_ok=True)


def _record(folder: Path) -> None:
    """Write down the digests of all that lies in a preset's folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{files.sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    if folder.exists():
        files.write_text(folder / SUMS, "".join(lines))


def _left_out(preset: Preset, run: Run, what: str = CHECKPOINTS) -> bool:
    path = folder_of(preset) / LEFT_OUT
    return path.exists() and str(run) in files.read_json(path).get(what, ())


def _taken(preset: Preset, run: Run, kept: Path, target: Path) -> bool:
    """Put a kept run's files in place; whether its checkpoint, if it should have one, is there too.

    InputError if one of them is damaged, with nothing of the run touched.
    """
    leaf, may_lack = is_leaf(preset, run), follows(preset, run) or _left_out(preset, run)
    spared = (leaf or may_lack) and not (kept / "model.pt").exists()
    names = described(preset, run) + ([] if spared else ["model.pt"])
    _check(kept, names)
    content = _may_be_composed(preset, run, kept) if spared and not leaf and follows(preset, run) else None
    store.keep(preset, run)
    with files.together(target, (store.LOG, *RUN_FILES)) as scratch:
        for file in names:
            files.write_bytes(scratch / file, (kept / file).read_bytes())
        if content:
            files.write_bytes(scratch / "model.pt", content)
    return leaf or not spared or content is not None


def _may_be_composed(preset: Preset, run: Run, kept: Path) -> bytes | None:
    try:
        return compose(preset, run, kept)
    except InputError:  # a parent is not there either
        return None


def _elsewhere(preset: Preset, run: Run) -> Path | None:
    """The folder of the same ANN among another preset's kept results, whole; of other runs not all parents are kept."""
    if not isinstance(run, AnnRun):
        return None
    roots = [folder_of(preset.config.preset(name)) for name in preset.config.file.presets if name != preset.name]
    places = (Held(root / str(run), root) for root in roots)
    return next((one.folder for one in places if store.is_whole(one.folder) and store.fits(preset, run, one)), None)


def _why_not(judge: Judge, run: Run, kept: Path | None) -> str | None:
    """Why a kept run is not what the plan asks for, made from the images and parents that are here; None if it is.

    Another preset's (`kept` is None) has been compared, and has no parents.
    """
    preset, data = judge.preset, judge.preset.config.data_file(run.dataset)
    if not Path(data).exists():
        return f"{data} is missing: `snakemake --cores 1 {data}` makes it"
    for parent in preset.parents(run):
        if not Path(preset.folder(parent), "provenance.json").exists():
            return f"its parent {parent} is not there"
    return unfit(preset, run, kept, Path(preset.root), judge.digests) if kept else None


def _check(kept: Path, names: list[str]) -> None:
    """InputError if one of these kept files is missing or is not the one that its provenance describes."""
    digests = files.read_json(kept / "provenance.json")["files"]
    for path in (kept / name for name in names):
        if not path.exists():
            raise InputError(f"{path} is missing: `git checkout {path}`")
        if path.name in digests and not _as_stated(path):  # of the training log none is stated
            raise InputError(f"{path} is not the file that its provenance describes: `git checkout {path}`")


def _as_stated(path: Path) -> bool:
    return files.sha256(path) == files.stated_digest(path)


def _same(one: Path, other: Path) -> bool:
    """Whether both files have the same content, or neither is there: a training of its own has times of its own."""
    there = one.is_file()
    return there == other.is_file() and (not there or files.sha256(one) == files.sha256(other))


def _copied(source: Path, target: Path) -> bool:
    """Copy a file unless the same content is there."""
    if target.exists() and files.sha256(source) == files.sha256(target):
        return False
    with open(source, "rb") as old, files.replacing(target) as new:
        shutil.copyfileobj(old, new)
    return True


def _left(others: dict[str, str], word: str) -> str:
    return f"; {len(others)} {word}, such as {next(iter(others))}: {next(iter(others.values()))}" if others else ""

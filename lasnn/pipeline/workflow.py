"""What the Snakefile asks before its first job: whether the targets can be made at all."""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from ruamel.yaml.error import YAMLError

from lasnn import cards
from lasnn.compiled.machine_code import folder
from lasnn.errors import InputError
from lasnn.pipeline.notebooks import NOTEBOOKS, pages_of
from lasnn.pipeline.slurm import Partition
from lasnn.plan.config import CONFIG, PASSED_ON, Config, Preset, whole
from lasnn.plan.overlays import merged, parsed, understood
from lasnn.plan.own import check_overrides
from lasnn.plan.runs import Run
from lasnn.plan.vocabulary import known, pick
from lasnn.report import EXHIBITS, TARGETS, files_of, runs_of_target
from lasnn.results.fits import RUN_FILES
from lasnn.results.store import LOG
from lasnn.storage import bucket

PASSED_CARDS = "LASNN_CARDS"  # environment variable
OWN_IMAGE = "LASNN_IMAGE"  # environment variable
OTHER_TARGETS = ("notebooks", "site")  # rules that make pages


def command_line() -> argparse.Namespace | None:
    """The options that were typed; Snakemake offers them to a Snakefile only after it was read."""
    if Path(sys.argv[0]).name not in ("snakemake", "__main__.py"):
        return None  # called by another program, which may pass words of its own
    return _options(tuple(sys.argv[1:]))


@cache
def _options(words: tuple[str, ...]) -> argparse.Namespace:
    """Of a command line, read once: it takes a tenth of a second."""
    from snakemake.cli import parse_args

    with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):  # it has said everything once already
        options: argparse.Namespace = parse_args(list(words))[1]
    return options


def command_line_targets() -> list[str]:
    """The targets that were typed."""
    options = command_line()
    return [str(target) for target in (options.targets if options else None) or ()]


def check_whole_workflow(snakefile: str, checkout: Path) -> None:
    """InputError if the rules are imported into another workflow, whose prefixes their jobs could not know."""
    own = checkout / "workflow" / "Snakefile"
    if Path(snakefile).resolve() != own:
        raise InputError(
            "lasnn can't be imported by `module`: its jobs name their paths themselves; run it apart, "
            f"`snakemake --snakefile {own} --directory FOLDER`, and take its files from FOLDER"
        )


def check_folder(checkout: Path) -> None:
    """InputError if this is a folder of the checkout itself: results would lie in it, and all would be made anew.

    Who means it has a config.yaml there, or names the folder.
    """
    here, options = Path.cwd().resolve(), command_line()
    if checkout in here.parents and not CONFIG.exists() and not (options and options.directory):
        raise InputError(
            f"results would lie in {here.relative_to(checkout)}, a folder of the checkout: type this in {checkout}, or "
            "name the folder that you mean, `--directory FOLDER`"
        )


def imports_of(checkout: Path) -> dict[str, str]:
    """Variables with which `python -m lasnn` takes lasnn from this checkout, whatever else has that name."""
    before = os.environ.get("PYTHONPATH")
    places = os.pathsep.join([str(checkout), *([before] if before else [])])
    return {"PYTHONPATH": places, "PYTHONSAFEPATH": "1"}  # safe: not from the folder where it is typed


def check_places(config: Config, presets: Iterable[str]) -> None:
    """InputError if results or data lie behind a link that leads out of the folder: DVC can't follow it."""
    here = Path.cwd().resolve()
    folders = [Path(config.file.folders.results), Path(config.file.folders.data)]
    for path in [*folders, *(folders[0] / name for name in presets)]:
        if not path.is_absolute() and ".." not in path.parts and here not in (place := path.resolve(), *place.parents):
            raise InputError(
                f"{path} is a link out of this folder, which DVC can't record: remove the link and set `folders` in "
                f"config.yaml to where it leads"
            )


def configuration(checkout: Path) -> Path:
    """config.yaml of the working folder, elsewhere than in the checkout the checkout's own if there is none."""
    return CONFIG if CONFIG.exists() or Path.cwd().resolve() == checkout else checkout / CONFIG


def check_container() -> None:
    """InputError if a recipe is asked for where Snakemake can't ask conda how it names environments."""
    if getattr(command_line(), "containerize", None) and shutil.which("conda") is None:
        raise InputError("--containerize asks conda for the names of environments: have conda on PATH for it")


def image(needed: bool) -> str:
    """The image of `--sdm apptainer`, a file or an address; InputError if it is `needed` and there is no such file."""
    found = os.environ.get(OWN_IMAGE, "lasnn.sif")
    if needed and "://" not in found and not Path(found).exists():
        raise InputError(
            f"--sdm apptainer: no image {found}: build it from the project's Dockerfile (docs/commands.md), or name "
            f"another in {OWN_IMAGE}"
        )
    return found


def configured(files: Iterable[Path | str], given: dict[str, object], first: object = None) -> object:
    """The configuration: files laid over one another, then what `--config` gave. `first`: the first file, if read.

    Snakemake hands its own reading of them to a Snakefile too, in YAML 1.1: there 1e-05 is a word, `off` is false, and
    of a double key the last one counts. InputError if `--config` brings names that neither the files have nor anything
    else that was typed uses.
    """
    options = command_line()
    content: dict[str, object] = {}
    for place, path in enumerate(files):
        found = parsed(path) if place else first or whole(path)  # presets lie beside the first
        if not isinstance(found, dict):
            return found
        content = merged(content, found)
    overrides = {key: typed(value) for key, value in given.items()}
    check_overrides(overrides, content, map(str, (options and options.targets) or ()))
    return merged(content, overrides)


def typed(value: object) -> object:
    """A value of `--config` as YAML 1.2 reads it: Snakemake leaves every number within `{...}` or `[...]` a word."""
    if isinstance(value, dict):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    if isinstance(value, str):
        with contextlib.suppress(YAMLError, ValueError):
            meant = understood(value)
            return value if isinstance(meant, dict | list) else meant
    return value


def pass_on(content: dict[str, object]) -> None:
    """Let the jobs see the configuration as it is now, with what `--config` changed.

    It travels in the environment and not in a rule's params, so that where a mirror lies is no reason to rerun.
    """
    os.environ[PASSED_ON] = json.dumps(content)


def cards_of_a_training(config: Config, where: Partition | None, remote: bool) -> int:
    """1 if a training has a card to run on: on this machine, or on the nodes of a partition; 0 if not.

    A job on a cluster (`remote`) reads the Snakefile again, maybe where no card is seen, and must come to the same: so
    the number travels in the environment.
    """
    if remote and PASSED_CARDS in os.environ:
        return int(os.environ[PASSED_CARDS])
    here = where.cards > 0 if where else cards.any_here()
    found = int(config.file.device != "cpu" and here)
    os.environ[PASSED_CARDS] = str(found)
    return found


def presets_of(config: Config, targets: Iterable[str]) -> list[str]:
    """The presets that a call is about: the one that the configuration names, and those of typed files."""
    folders = [str(target).removeprefix("./").removeprefix(f"{config.file.folders.results}/") for target in targets]
    named = [folder.split("/")[0] for folder in folders]
    return list(dict.fromkeys([config.file.preset, *(name for name in named if name in config.file.presets)]))


def record_lineage(presets: Iterable[str]) -> None:
    """Tell DVC what is there now; never a reason to fail.

    A command of a DVC stage leaves that to DVC, which holds its own lock meanwhile.
    """
    if "DVC_STAGE" in os.environ:
        return
    own_process("record", *presets)


def own_process(*words: str) -> int:
    """The exit status of `python -m lasnn WORDS`, which imports what the jobs import and reads config.yaml as DVC does.

    DVC takes a second to load, so it has a process of its own.
    """
    environment = {name: value for name, value in os.environ.items() if name not in (PASSED_ON, bucket.PASSED)}
    environment |= imports_of(Path(__file__).resolve().parents[2])
    return subprocess.run([sys.executable, "-m", "lasnn", *words], env=environment, check=False).returncode


def check_plan(config: Config, presets: Iterable[str], targets: Iterable[str]) -> None:
    """InputError for whatever the plan shows to be impossible, in the runs of these presets and in typed ones."""
    for preset, runs in runs_asked(config, presets, targets):
        for run in runs:
            preset.check_names(run)


def runs_asked(config: Config, presets: Iterable[str], targets: Iterable[str]) -> Iterator[tuple[Preset, list[Run]]]:
    """The planned runs of these presets, and typed ones with all that they rest on."""
    for name in presets:
        preset = config.preset(name)
        yield preset, runs_of_target(preset, "all")
    for target in map(str, targets):
        if Path(target).name in RUN_FILES:
            preset, run = config.locate(str(Path(target.removeprefix("./")).parent))
            yield preset, preset.ancestors([run])


def files_asked(config: Config, presets: Sequence[str], targets: Iterable[str]) -> Iterator[str]:
    """Every file that a rule might find in its way: of these runs and their images, of exhibits and pages."""
    for preset, runs in runs_asked(config, presets, targets):
        yield from (preset.config.data_file(dataset) for dataset in {run.dataset for run in runs})
        yield from (f"{preset.folder(run)}/{name}" for run in runs for name in (*RUN_FILES, LOG))
    for preset in map(config.preset, presets):
        yield from (path for name in EXHIBITS for path in files_of(preset, name))
        yield from pages_of(preset).values()


def check_targets(config: Config, targets: Iterable[str]) -> None:
    """InputError with the known names if a target is neither a rule nor a file that some rule makes."""
    for target in map(str, targets):
        if not _is_target(config, target.removeprefix("./")):
            results, data = config.file.folders.results, config.file.folders.data
            near = _meant(config, target)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise InputError(
                f"unknown target {target!r}{hint}: known are {', '.join([*TARGETS, *OTHER_TARGETS])}, "
                f"{results}/<preset>/exhibits/<exhibit>.<ending>, {results}/<preset>/<run>/model.pt "
                f"and {data}/<dataset>.npz"
            )


def _is_target(config: Config, target: str) -> bool:
    """Whether some rule makes it; InputError if it names a preset, run, exhibit or notebook that there isn't."""
    results, data = re.escape(config.file.folders.results), re.escape(config.file.folders.data)
    if target in (*TARGETS, *OTHER_TARGETS):
        return True
    if target in EXHIBITS:
        paths = files_of(config.preset(), target)
        raise InputError(f"{target!r} is an exhibit, not a target: ask for one of its files, {' or '.join(paths)}")
    if match := re.fullmatch(rf"{data}/(?P<dataset>[^/]+)\.npz", target):
        config.own_dataset(match["dataset"])
    elif match := re.fullmatch(rf"{results}/(?P<preset>[^/]+)/exhibits/(?P<name>[^/]+)\.(\w+)", target):
        _check_exhibit(config, match["preset"], match["name"], match[3])
    elif match := re.fullmatch(rf"{results}/(?P<preset>[^/]+)/notebooks/(?P<name>[^/]+)\.html", target):
        config.preset(match["preset"])
        known(NOTEBOOKS, match["name"], "notebook")
    elif target.startswith(f"{config.file.folders.results}/") and Path(target).name in RUN_FILES:
        config.locate(str(Path(target).parent))
    else:
        return False
    return True


def _meant(config: Config, target: str) -> str | None:
    """The target that somebody means who spells a path otherwise, or names a run's folder or another file in it."""
    place = os.path.relpath(os.path.realpath(target)) if "/" in target else target
    ways = [place, f"{place}/model.pt", *(f"{place}.{ending}" for ending in ("md", "svg", "html", "npz"))]
    for guess in (*ways, f"{Path(place).parent}/model.pt"):
        with contextlib.suppress(InputError):
            if _is_target(config, guess):
                return guess
    return next(iter(get_close_matches(target, [*TARGETS, *OTHER_TARGETS], n=1)), None)


def _check_exhibit(config: Config, preset: str, name: str, ending: str) -> None:
    planned, exhibit = config.preset(preset), pick(EXHIBITS, name, "exhibit")
    known(exhibit.endings, ending, f"ending of {name}")
    if exhibit.cells(planned) and not exhibit.runs(planned):
        others = [other for other in config.file.presets if exhibit.runs(config.preset(other))]
        raise InputError(
            f"preset {preset!r} plans no run that {name} shows: its section scope says what it runs; "
            f"presets that plan some are {', '.join(others) or 'none'}"
        )


def keep_byte_code() -> None:
    """Let the jobs keep byte code where Python may not write it beside its sources, as in many containers.

    Compiling torch anew takes each of them 4 s. It lies beside the compiled loops, and nothing is written elsewhere.
    """
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and "PYTHONPYCACHEPREFIX" not in os.environ:
        with contextlib.suppress(OSError):
            os.environ["PYTHONPYCACHEPREFIX"] = str(folder() / "bytecode")
            del os.environ["PYTHONDONTWRITEBYTECODE"]

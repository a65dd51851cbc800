"""The verbs of the command line: their functions, and a table of names, help, examples and arguments.

Torch, pandas, Snakemake and DVC are loaded by the functions that need them.
"""

import argparse
import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from lasnn import cards, stopping
from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.config import Preset, read, restore
from lasnn.plan.runs import KINDS, Run
from lasnn.plan.settings import Settings
from lasnn.plan.vocabulary import KNOWN_DATASETS
from lasnn.storage.locks import only_writer


def data_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.datasets.preparation import prepare

    config = read(options.config)
    own = config.own_dataset(options.dataset)
    path = Path(config.data_file(options.dataset))
    console.say(f"preparing {options.dataset}")
    with only_writer(path.parent / f".{path.name}.lock", f"dataset {options.dataset!r}"):
        prepare(
            options.dataset,
            path,
            mirror=config.mirror(options.dataset),
            allow_subset=config.file.allow_subset,
            folder=own.folder if own else None,
            side=own.side if own else None,
            resize=own.resize if own else False,
        )
    console.say(f"wrote {path}")


def stage_verb(options: argparse.Namespace, console: Console) -> None:
    config = read(options.config)
    preset, run = config.locate(options.folder)
    if run.kind != options.verb:
        raise InputError(f"{options.folder!r} is a run of kind {run.kind!r}: use `python -m lasnn {run.kind}`")
    settings = restore(run, options.settings) if options.settings else preset.settings(run)
    console.name = run.id
    if taken_up(preset, run, settings, options.folder, console):
        complete(options.folder)
        return
    from lasnn.results import progress, scores

    if line := progress.line():
        console.say(line)
    if (options.device or config.file.device) != "cpu" and (card := cards.take()):
        console.say(f"takes card {card}")
    from lasnn.training.device import device_of
    from lasnn.training.stages import make

    device = device_of(options.device or config.file.device)
    with only_writer(Path(options.folder, ".lock"), f"the run {run}"):
        try:
            make(preset, run, settings, device, console)
            scores.write(preset, [run])
            complete(options.folder)
        except stopping.Stopped as stopped:
            if stopped.kept is None and Path(options.folder, "resume.pt").exists():
                kept = "the same command goes on after the last save"
                raise stopping.Stopped(stopped.signal, stopped.urgent, kept) from None
            raise


def complete(folder: str) -> None:
    """A log without lines for a run that trains nothing: what goes to a bucket is declared, and is the same for all."""
    from lasnn.results.store import LOG
    from lasnn.storage.bucket import passed_on

    if passed_on():
        Path(folder, LOG).touch()


def taken_up(preset: Preset, run: Run, settings: Settings, folder: str, console: Console) -> bool:
    """Whether a run that was replaced, or that another preset made, is what is asked for; what lies there is kept."""
    from lasnn.results import scores, store

    with only_writer(Path(folder, ".lock"), f"the run {run}"):
        store.keep(preset, run)
        planned = settings == preset.settings(run) and store.may_take(run, folder)
        place = store.take(preset, run) if planned else None
        scores.write(preset, [run] if place else [])
    if place:
        console.say(f"done: taken from {place}, which is what the plan asks for")
    return place is not None


def exhibit_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.report import write

    for path in write(read(options.config), options.path, console):
        console.say(f"wrote {path}")


def notebook_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import notebooks

    console.say(f"wrote {notebooks.execute(options.path)}")


def site_verb(options: argparse.Namespace, console: Console) -> None:
    """results/<preset>/site/."""
    from lasnn.pipeline import site

    console.say(f"wrote {site.build(read(options.config), options.preset, console)}: open it in a browser")


def plan_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline.costs import print_plan

    config = read(options.config)
    preset, device = config.preset(options.preset), options.device or config.file.device
    print_plan(preset, options.target, device, console, options.quick, options.gpus, options.save)


def runs_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import listing

    found = listing.finished(read(options.config), options.preset, options.words)
    print(json.dumps([asdict(one) for one in found], indent=1) if options.json else listing.Runs(found))


def trace_verb(options: argparse.Namespace, console: Console) -> int:
    from lasnn.pipeline.trace import trace

    found = trace(read(options.config), options.path, options.row + options.column, options.verify)
    print("\n".join(found.lines + (found.verdict() if options.verify else [])))
    return 1 if found.faults else 0


def diagnose_verb(options: argparse.Namespace, console: Console) -> None:
    config = read(options.config)
    preset, run = config.locate(options.folder)
    from lasnn.loading import load
    from lasnn.spiking import diagnosis
    from lasnn.training import diagnose

    loaded = load(options.folder)
    sick = diagnose.patient(preset, run, loaded.net, loaded.meta["settings"], options.steps, options.images)
    with console.progress(len(sick.images), f"diagnosis at T = {sick.steps}") as progress:
        found = diagnosis.diagnose(
            sick.net, sick.images, sick.run.encoder, sick.steps, gain=sick.gain, step=progress.step
        )
    tried = diagnose.trials(sick, found, options.tries)
    if options.json:
        report = {"run": str(run), "preset": preset.name} | found.json() | {"words": diagnosis.words(found)}
        print(json.dumps(report | {"trials": [asdict(trial) for trial in tried]}, indent=1))
    else:
        print(diagnose.page(sick, found, tried))


def verify_verb(options: argparse.Namespace, console: Console) -> int:
    from lasnn.pipeline.verify import verify

    faults = 0
    for line, found in verify(read(options.config), options.presets):
        print("\n".join([line, *(f"MISMATCH: {fault}" for fault in found)]), flush=True)
        faults += len(found)
    return 1 if faults else 0


def adopt_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import adoption

    config = read(options.config)
    mean, std = (tuple(values) if values else None for values in (options.mean, options.std))
    asked = adoption.Request(options.network, options.weights, options.dataset, options.preset, options.seed, mean, std)
    device = options.device or config.file.device
    adoption.adopt(config, asked, options.expect, Path(options.config).parent, device, console)


def export_nir_verb(options: argparse.Namespace, console: Console) -> None:
    if options.file.suffix != ".nir":
        raise InputError(f"{options.file}: a NIR file here ends in .nir, by which `lasnn.load` knows it: name it so")
    from lasnn.loading import load
    from lasnn.spiking import nir_graph

    graph = load(options.folder).graph()
    nir_graph.write(options.file, graph)
    console.say(f"wrote {options.file}: {len(graph.nodes)} nodes; {graph.metadata['reading']}")


def export_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import reference

    asked = not options.only_exhibits, not options.without_checkpoints
    console.say(reference.export(read(options.config), options.preset, *asked))


def import_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import reference

    console.say(reference.take_up(read(options.config), options.preset))


def crate_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import crate

    console.say(crate.write(read(options.config), options.preset, options.out))


def lineage_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import dvc_yaml
    from lasnn.storage import files

    files.write_text("dvc.yaml", dvc_yaml.text(read(options.config).preset(options.preset)))
    console.say("wrote dvc.yaml")


def record_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import dvc_record

    for preset in options.presets or [None]:
        console.say(dvc_record.record(preset))


def positive(word: str) -> int:
    """A number above 0 on the command line."""
    if not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is no whole number above 0")
    return int(word)


def number(word: str) -> float:
    """A number on the command line that float32 can hold: not nan, not inf, nor what becomes inf or 0."""
    with contextlib.suppress(ValueError):
        if (value := float(word)) == 0 or 1e-30 < abs(value) < 1e30:
            return value
    raise argparse.ArgumentTypeError(f"{word} is no finite number")


def percent(word: str) -> float:
    """A number from 0 to 100 on the command line."""
    if not 0 <= (value := number(word)) <= 100:
        raise argparse.ArgumentTypeError(f"{word} is not between 0 and 100")
    return value


Argument = tuple[tuple[str, ...], dict[str, Any]]  # of `add_argument`


class Verb(NamedTuple):
    """What `python -m lasnn` does by one name; `example` is what may be typed behind it."""

    name: str
    act: Callable[[argparse.Namespace, Console], int | None]
    help: str
    example: str
    arguments: tuple[Argument, ...]


def arg(*names: str, **options: Any) -> Argument:
    """An argument, as argparse takes it."""
    return names, options


PRESET = arg("--preset", help="default: `preset` of the configuration")
DEVICE = arg("--device", choices=["auto", "cpu", "cuda"], help="default: `device` of the configuration")
SETTINGS = arg("--settings", help="JSON in place of what the configuration says (the workflow passes it)")
ANN, CONVERTED, SNN = (
    (arg("folder", help=f"results/<preset>/{KINDS[kind].PATTERN}"), SETTINGS, DEVICE)
    for kind in ("ann", "converted", "snn")
)
JSON = arg("--json", action="store_true", help="JSON in place of text")
SPIKING = arg("folder", help="the folder of a finished converted or spiking run")
PIXELS: dict[str, Any] = {"type": number, "nargs": 3, "metavar": ("R", "G", "B")}
HYBRID = "results/quick/snn/digits/vgg5/hybrid/poisson-T10/none/base/s0"

# fmt: off
VERBS = {
    "make: images, runs, tables and pages, one at a time; the workflow calls these": [
        Verb("data", data_verb, "prepare a dataset: one file of arrays", "cifar10", (
            arg("dataset", help=f"one of {', '.join(KNOWN_DATASETS)}, or a name under `datasets:`"),
        )),
        Verb("ann", stage_verb, "train a teacher or an intermediate ANN", "results/quick/ann/digits/vgg5/base/s0", ANN),
        Verb("converted", stage_verb, "convert an ANN: threshold balancing and accuracy over time",
             "results/quick/converted/digits/vgg5/poisson/base/s0", CONVERTED),
        Verb("snn", stage_verb, "make a spiking network by one method: hybrid, label KD, LaSNN, or conversion alone",
             HYBRID, SNN),
        Verb("exhibit", exhibit_verb, "write a table or figure from finished runs",
             "results/quick/exhibits/table2.csv", (
            arg("path", help="results/<preset>/exhibits/<name>.<ending>"),
        )),
        Verb("notebook", notebook_verb, "execute a notebook and write its page",
             "results/quick/notebooks/energy.html", (
            arg("path", help="results/<preset>/notebooks/<name>.html"),
        )),
        Verb("site", site_verb, "build a static site from what is finished; makes no result", "--preset small",
             (PRESET,)),
    ],
    "look: at what is planned and what is finished": [
        Verb("plan", plan_verb, "what a target costs: jobs, GPU-hours, hours on this device, memory, disk",
             "tables --preset small --gpus 4", (
            arg("target", nargs="?", default="tables", help="`tables`, `figures`, `all` or the name of an exhibit"),
            PRESET, DEVICE,
            arg("--quick", action="store_true", help="jobs and GPU-hours only: nothing is timed on this device"),
            arg("--gpus", "--jobs", type=int, metavar="N", help="also the wall time with N jobs at once"),
            arg("--save", action="store_true", help="leave the seconds of each run for a queue's time limits"),
        )),
        Verb("runs", runs_verb, "finished runs: accuracy, settings, age", "vgg5 hybrid", (
            arg("words", nargs="*", help="only runs whose path holds all of these, such as vgg5 hybrid"),
            arg("--preset", help="default: all"), JSON,
        )),
        Verb("trace", trace_verb, "what a number rests on, down to the images",
             "results/quick/exhibits/table2.csv --row VGG5 --column lasnn_act", (
            arg("path", help="a table (.csv, .md) of an exhibit, or the folder of a run"),
            arg("--row", action="append", default=[], help="a word of the cell's row, or its number; repeatable"),
            arg("--column", action="append", default=[], help="one of its column, as LaSNN; repeatable"),
            arg("--verify", action="store_true", help="hash everything again; status 1 if something differs"),
        )),
        Verb("diagnose", diagnose_verb, "find the layer at which a spiking network loses accuracy", f"{HYBRID} --try", (
            SPIKING,
            arg("--steps", type=positive, help="T (default: the run's own)"),
            arg("--images", type=positive, default=200, help="held-out training images (default: 200)"),
            arg("--try", dest="tries", action="store_true", help="also try what is most likely to help"), JSON,
        )),
        Verb("verify", verify_verb, "audit kept results without images; status 1 if one differs",
             "results/reference/small", (
            arg("presets", nargs="*", help="names or folders, such as results/reference/small (default: all)"),
        )),
    ],
    "exchange: models and results with others": [
        Verb("adopt", adopt_verb, "use weights trained elsewhere as the ANN of that name",
             "vgg5 --weights vgg5.pt --dataset cifar10", (
            arg("network", help="a network of the paper, or one of `architectures:` in the configuration"),
            arg("--weights", required=True, type=Path, help="a state dict: torch.save or safetensors"),
            arg("--dataset", required=True, help="the images that it was trained for"), PRESET,
            arg("--seed", type=int, default=0, help="the seed of the run that it becomes (default: 0)"),
            arg("--mean", **PIXELS, help="of pixels in [0, 1], if it standardises its input (default: [-1, 1])"),
            arg("--std", **PIXELS, help="of the same pixels"),
            arg("--expect", type=percent, metavar="PERCENT", help="refuse another test accuracy than this"), DEVICE,
        )),
        Verb("export-nir", export_nir_verb, "write a spiking network for other simulators", f"{HYBRID} vgg5.nir", (
            SPIKING, arg("file", type=Path, help="a new file, named *.nir"),
        )),
        Verb("export", export_verb, "copy finished runs to results/reference, to be committed", "--preset small", (
            PRESET,
            arg("--only-exhibits", action="store_true", help="tables and figures without their runs"),
            arg("--without-checkpoints", action="store_true", help="the runs without weights"),
        )),
        Verb("import", import_verb, "reuse kept runs of results/reference that match the plan", "--preset small",
             (PRESET,)),
        Verb("crate", crate_verb, "results as a Provenance Run Crate, which others' tools read", "--preset small", (
            PRESET, arg("--out", type=Path, help="a new folder (default: results/<preset>/crate)"),
        )),
    ],
    "maintain: the lineage in DVC": [
        Verb("lineage", lineage_verb, "write dvc.yaml from the plan", "--preset quick", (PRESET,)),
        Verb("record", record_verb, "record finished runs in DVC, as the workflow does", "quick", (
            arg("presets", nargs="*", help="default: `preset` of the configuration"),
        )),
    ],
}
# fmt: on

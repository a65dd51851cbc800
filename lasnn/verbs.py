"""Verbs about models: taking one in, handing one out, looking into one; and the site of all. The rest: `__main__`."""

import argparse
import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.config import read
from lasnn.storage.locks import only_writer

Parser = TypeVar("Parser", bound=argparse.ArgumentParser)


def add(verbs: "argparse._SubParsersAction[Parser]", common: Parser) -> None:
    """Add these verbs and their options to the command line."""
    adopt = verbs.add_parser("adopt", parents=[common], help="use weights trained elsewhere as the ANN of that name")
    adopt.add_argument("network", help="a network of the paper, or one of `architectures:` in the configuration")
    adopt.add_argument("--weights", required=True, type=Path, help="a state dict: torch.save or safetensors")
    adopt.add_argument("--dataset", required=True, help="the images that it was trained for")
    adopt.add_argument("--preset", help="default: `preset` of the configuration")
    adopt.add_argument("--seed", type=int, default=0, help="the seed of the run that it becomes (default: 0)")
    for name in ("mean", "std"):
        adopt.add_argument(
            f"--{name}",
            type=number,
            nargs=3,
            metavar=("R", "G", "B"),
            help="of pixels in [0, 1], if it standardises its input (default: it takes pixels in [-1, 1])",
        )
    adopt.add_argument("--expect", type=percent, metavar="PERCENT", help="refuse another test accuracy than this")
    adopt.add_argument("--device", choices=["auto", "cpu", "cuda"], help="default: `device` of the configuration")
    adopt.set_defaults(act=adopt_verb)

    export = verbs.add_parser("export-nir", parents=[common], help="write a spiking network for other simulators")
    export.add_argument("folder", help="the folder of a finished converted or spiking run")
    export.add_argument("file", type=Path, help="a new file, named *.nir")
    export.set_defaults(act=export_verb)

    diagnose = verbs.add_parser(
        "diagnose", parents=[common], help="find the layer at which a spiking network loses accuracy"
    )
    diagnose.add_argument("folder", help="the folder of a finished converted or spiking run")
    diagnose.add_argument("--steps", type=positive, help="T (default: the run's own)")
    diagnose.add_argument("--images", type=positive, default=200, help="held-out training images (default: 200)")
    diagnose.add_argument("--try", dest="tries", action="store_true", help="also try what is most likely to help")
    diagnose.add_argument("--json", action="store_true", help="JSON in place of the page")
    diagnose.set_defaults(act=diagnose_verb)

    runs = verbs.add_parser("runs", parents=[common], help="finished runs: accuracy, settings, age")
    runs.add_argument("words", nargs="*", help="only runs whose path holds all of these, such as vgg5 hybrid")
    runs.add_argument("--preset", help="default: all")
    runs.add_argument("--json", action="store_true", help="JSON in place of lines")
    runs.set_defaults(act=runs_verb)

    verify = verbs.add_parser(
        "verify", parents=[common], help="audit kept results without images; status 1 if one differs"
    )
    verify.add_argument("presets", nargs="*", help="names or folders, such as results/reference/small (default: all)")
    verify.set_defaults(act=verify_verb)

    crate = verbs.add_parser(
        "crate", parents=[common], help="results as a Provenance Run Crate, which others' tools read"
    )
    crate.add_argument("--preset", help="default: `preset` of the configuration")
    crate.add_argument("--out", type=Path, help="a new folder (default: results/<preset>/crate)")
    crate.set_defaults(act=crate_verb)

    false = verbs.add_parser(
        "false-verdicts", parents=[common], help="simulate how often a verdict is wrong where methods are alike"
    )
    false.add_argument("--draws", type=positive, default=2000, help="simulated comparisons (default: 2000)")
    false.set_defaults(act=false_verdicts_verb)

    site = verbs.add_parser("site", parents=[common], help="build a static site from what is finished; makes no result")
    site.add_argument("--preset", help="default: `preset` of the configuration")
    site.set_defaults(act=site_verb)


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


def runs_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import listing

    found = listing.finished(read(options.config), options.preset, options.words)
    print(json.dumps([one.json() for one in found], indent=1) if options.json else listing.lines(found))


def verify_verb(options: argparse.Namespace, console: Console) -> int:
    from lasnn.pipeline.verify import verify

    faults = 0
    for found in verify(read(options.config), options.presets):
        print("\n".join([found.line(), *(f"MISMATCH: {fault}" for fault in found.faults)]), flush=True)
        faults += len(found.faults)
    return 1 if faults else 0


def crate_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import crate

    console.say(crate.write(read(options.config), options.preset, options.out))


def false_verdicts_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.report import false_verdicts

    print(false_verdicts.page(options.draws))


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


def export_verb(options: argparse.Namespace, console: Console) -> None:
    if options.file.suffix != ".nir":
        raise InputError(f"{options.file}: a NIR file here ends in .nir, by which `lasnn.load` knows it: name it so")
    from lasnn.loading import load
    from lasnn.spiking import nir_graph

    graph = load(options.folder).graph()
    nir_graph.write(options.file, graph)
    console.say(f"wrote {options.file}: {len(graph.nodes)} nodes; {graph.metadata['reading']}")


def adopt_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import adoption
    from lasnn.results import scores

    config = read(options.config)
    mean, std = (tuple(values) if values else None for values in (options.mean, options.std))
    asked = adoption.Request(options.network, options.weights, options.dataset, options.preset, options.seed, mean, std)
    preset, run, entry = adoption.planned(config, asked)
    preset = adoption.with_entry(config, preset, run, entry)
    from lasnn.training.device import device_of  # torch is loaded here and not for the verbs that don't need it
    from lasnn.training.stages import make
    from lasnn.training.stages.adopted import tried

    console.name = run.id
    device = device_of(options.device or config.file.device)
    accuracy, done = tried(preset, run, options.weights, entry)
    adoption.check_accuracy(options.expect, accuracy, done.doubts)
    with only_writer(Path(preset.folder(run), ".lock"), f"the run {run}"):
        adoption.keep(preset, run, options.weights, Path(options.config).parent)
        make(preset, run, preset.settings(run), device, console)
        scores.write(preset, [run])


def site_verb(options: argparse.Namespace, console: Console) -> None:
    """results/<preset>/site/."""
    from lasnn.pipeline import site

    console.say(f"wrote {site.build(read(options.config), options.preset, console)}: open it in a browser")

"""The command line: each stage of the chain, and what the workflow calls. `python -m lasnn --help`."""

import argparse
import errno
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from lasnn import __version__, cards, stopping
from lasnn import verbs as models
from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.config import CONFIG, Config, Preset, read, restore
from lasnn.plan.runs import KINDS, Run
from lasnn.plan.settings import Settings
from lasnn.plan.vocabulary import KNOWN_DATASETS
from lasnn.storage import user
from lasnn.storage.locks import only_writer


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0 if it went well, 2 with one line if the input was at fault."""
    open_streams()
    user.complete()
    options = parser().parse_args(arguments)
    console = Console(log=options.log)
    with stopping.listening(to_the_end=arguments is None):
        return obeyed(options, console)


def obeyed(options: argparse.Namespace, console: Console) -> int:
    """The exit status of a verb; whatever ends it early is one line, but for defects."""
    try:
        with console.alive(options.verb):
            status = options.act(options, console) or 0
        sys.stdout.flush()  # here, where a reader that has left does no harm
        return status
    except InputError as error:
        console.say(f"error: {' '.join(str(error).split())}")
        return 2
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:  # a full disk, a folder that can't be written
        where = full_disks() if error.errno == errno.ENOSPC and not error.filename else ""
        console.say(f"error: {error}{where}; what is finished is kept: mend this and run the same command again")
        return 4
    except stopping.Stopped as stopped:
        console.say(f"error: {stopped}")
        return stopped.status
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            keep(console)
            raise
        console.say(
            "error: out of memory; what was saved is kept and the same command goes on from there: set a smaller "
            f"compute.micro_batch or compute.rows in {options.config}"
        )
        return 3
    except Exception:
        keep(console)
        raise


def open_streams() -> None:
    """Stand-ins for standard streams that whoever calls has closed: else the next file would get their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            while os.open(os.devnull, os.O_RDWR) < number:
                pass
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def full_disks() -> str:
    """Which of the disks that are written to is full: the working folder's, or that of temporary files."""
    import shutil
    import tempfile

    places = {"the working folder": os.curdir, "temporary files (TMPDIR)": tempfile.gettempdir()}
    full = [name for name, place in places.items() if shutil.disk_usage(place).free < 1 << 20]
    return f" on the disk of {' and of '.join(full)}" if full else ""


def out_of_memory(error: Exception) -> bool:
    """Whether torch or Python could not get the memory that it asked for."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def keep(console: Console) -> None:
    """Write the traceback of a defect to the log as well."""
    console.record(traceback.format_exc())


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the words in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}: see `{self.prog} --help`\n")


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = OneLineParser(prog="python -m lasnn", description="LaSNN: layer-wise ANN-to-SNN distillation.")
    top.add_argument("--version", action="version", version=f"lasnn {__version__}")
    common = OneLineParser(add_help=False)
    common.add_argument("--config", default=CONFIG, type=Path, help="the configuration file (default: config.yaml)")
    common.add_argument("--log", type=Path, help="also write what is printed to this file")
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB", dest="verb")

    data = verbs.add_parser("data", parents=[common], help="prepare a dataset: one file of arrays")
    data.add_argument("dataset", help=f"one of {', '.join(KNOWN_DATASETS)}, or a name under `datasets:`")
    data.set_defaults(act=data_verb)

    helps = {
        "ann": "train a teacher or an intermediate ANN",
        "converted": "convert an ANN: threshold balancing and accuracy over time",
        "snn": "make a spiking network by one method: hybrid, label KD, LaSNN, or conversion alone",
    }
    for kind in KINDS:
        stage = verbs.add_parser(kind, parents=[common], help=helps[kind])
        stage.add_argument("folder", help=f"results/<preset>/{KINDS[kind].PATTERN}")
        stage.add_argument("--settings", help="JSON in place of what the configuration says (the workflow passes it)")
        stage.add_argument("--device", choices=["auto", "cpu", "cuda"], help="default: `device` of the configuration")
        stage.set_defaults(act=stage_verb, kind=kind)

    exhibit = verbs.add_parser("exhibit", parents=[common], help="write a table or figure from finished runs")
    exhibit.add_argument("path", help="results/<preset>/exhibits/<name>.<ending>")
    exhibit.set_defaults(act=exhibit_verb)

    notebook = verbs.add_parser("notebook", parents=[common], help="execute a notebook and write its page")
    notebook.add_argument("path", help="results/<preset>/notebooks/<name>.html")
    notebook.set_defaults(act=notebook_verb)

    plan = verbs.add_parser("plan", parents=[common], help="what a target costs: jobs, hours on this device, disk")
    plan.add_argument(
        "target", nargs="?", default="tables", help="`tables`, `figures`, `all` or the name of an exhibit"
    )
    plan.add_argument("--preset", help="default: `preset` of the configuration")
    plan.add_argument("--device", choices=["auto", "cpu", "cuda"])
    plan.add_argument("--quick", action="store_true", help="count jobs only; no calibration on this device")
    plan.add_argument("--gpus", "--jobs", type=int, metavar="N", help="also the wall time with N jobs at once")
    plan.add_argument("--save", action="store_true", help="leave the seconds of each run for a queue's time limits")
    plan.set_defaults(act=plan_verb)

    lineage = verbs.add_parser("lineage", parents=[common], help="write dvc.yaml from the plan")
    lineage.add_argument("--preset", help="default: `preset` of the configuration")
    lineage.set_defaults(act=lineage_verb)

    record = verbs.add_parser("record", parents=[common], help="record finished runs in DVC, as the workflow does")
    record.add_argument("presets", nargs="*", help="default: `preset` of the configuration")
    record.set_defaults(act=record_verb)

    trace = verbs.add_parser("trace", parents=[common], help="what a number rests on, down to the images")
    trace.add_argument("path", help="the CSV of an exhibit, or the folder of a run")
    trace.add_argument(
        "--row", action="append", default=[], help="a word of the cell's row or keys, such as VGG5; repeatable"
    )
    trace.add_argument("--column", action="append", default=[], help="one of its column, such as LaSNN; repeatable")
    trace.add_argument("--verify", action="store_true", help="hash everything again; status 1 if something differs")
    trace.set_defaults(act=trace_verb)

    for verb, act, what in (
        ("export", export_verb, "copy finished runs to results/reference, to be committed"),
        ("import", import_verb, "reuse kept runs of results/reference that match the plan"),
    ):
        handed = verbs.add_parser(verb, parents=[common], help=what)
        handed.add_argument("--preset", help="default: `preset` of the configuration")
        handed.set_defaults(act=act)
        if verb == "export":
            handed.add_argument("--only-exhibits", action="store_true", help="tables and figures without their runs")
            handed.add_argument("--without-teachers", action="store_true", help="leave out teachers' checkpoints")

    models.add(verbs, common)
    return top


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
    if run.kind != options.kind:
        raise InputError(f"{options.folder!r} is a run of kind {run.kind!r}: use `python -m lasnn {run.kind}`")
    settings = restore(run, options.settings) if options.settings else preset.settings(run)
    console.name = run.id
    if taken_up(preset, run, settings, options.folder, console):
        return
    from lasnn.results import progress, scores

    if line := progress.line():
        console.say(line)
    if (options.device or config.file.device) != "cpu" and (card := cards.take()):
        console.say(f"takes card {card}")
    from lasnn.training.device import device_of  # torch is loaded here and not for the verbs that don't need it
    from lasnn.training.stages import make

    device = device_of(options.device or config.file.device)
    with only_writer(Path(options.folder, ".lock"), f"the run {run}"):
        try:
            make(preset, run, settings, device, console)
            scores.write(preset, [run])
        except stopping.Stopped as stopped:
            if stopped.kept is None and Path(options.folder, "resume.pt").exists():
                kept = "the same command goes on after the last save"
                raise stopping.Stopped(stopped.signal, stopped.urgent, kept) from None
            raise


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


def plan_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline.costs import print_plan

    config: Config = read(options.config)
    device = options.device or config.file.device
    print_plan(config.preset(options.preset), options.target, device, options.quick, options.gpus, options.save)


def lineage_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import dvc_yaml
    from lasnn.storage import files

    files.write_text("dvc.yaml", dvc_yaml.text(read(options.config).preset(options.preset)))
    console.say("wrote dvc.yaml")


def record_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import dvc_record

    for preset in options.presets or [None]:
        console.say(dvc_record.record(preset))


def trace_verb(options: argparse.Namespace, console: Console) -> int:
    from lasnn.pipeline.trace import trace

    found = trace(read(options.config), options.path, options.row + options.column, options.verify)
    print("\n".join(found.lines))
    if not options.verify:
        return 0
    for fault in found.faults:
        print(f"MISMATCH: {fault}")
    runs = f"{len(found.seen)} runs, their settings, parents and images"
    if unseen := found.unprepared:
        runs = f"{len(found.seen)} runs, their settings and parents; images of {', '.join(unseen)} count as stated"
    if found.absent:
        runs += f"; {len(found.absent)} checkpoints are not here and count as they are stated"
    print(f"{len(found.faults)} mismatches in {runs}" if found.faults else f"verified: {runs}")
    return 1 if found.faults else 0


def export_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import reference

    asked = not options.only_exhibits, not options.without_teachers
    console.say(reference.export(read(options.config), options.preset, *asked))


def import_verb(options: argparse.Namespace, console: Console) -> None:
    from lasnn.pipeline import reference

    console.say(reference.take_up(read(options.config), options.preset))


if __name__ == "__main__":
    sys.exit(main())

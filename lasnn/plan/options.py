"""Which settings a run reads, and whether these and its preset's scope mean anything, known before anything runs."""

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from lasnn.errors import InputError
from lasnn.plan.cells import (
    REGIME_STEPS,
    Benchmark,
    Scope,
    chain_pairs,
    direct_cell,
    logit_scale_of,
    pair_above,
    paper_cells,
)
from lasnn.plan.overlays import Overlay
from lasnn.plan.own import Adopted, AdoptedWeights, Networks, OwnArchitecture
from lasnn.plan.runs import AND, BASE, AnnRun, ConvertedRun, Run, SnnRun
from lasnn.plan.settings import SETTINGS, AnnSettings, Protocol, Settings, SnnSettings
from lasnn.plan.vocabulary import (
    CLAIMS,
    ENCODERS,
    KNOWN_DATASETS,
    METHODS,
    NO_TEACHER,
    Method,
    known,
    pick,
)

if TYPE_CHECKING:
    from lasnn.plan.config import Preset


def picked(
    run: Run, protocol: Protocol, own: OwnArchitecture | None, teacher: bool, adopted: Adopted | None
) -> Settings:
    """The settings of `run`, whose network is an `own` one, a teacher, or filled with adopted weights."""
    sections = {name: getattr(protocol, name) for name in Protocol.model_fields}
    if isinstance(run, AnnRun):
        sections["training"] = protocol.teacher if teacher else protocol.ann
        if teacher:  # levels are for what is converted, and a teacher's batch norm is part of its definition
            update = {"levels": None, "batch_norm": False}
            sections["network"] = protocol.network.model_copy(update=update)
        if adopted:
            sections["training"] = None
            sections["adopted"] = AdoptedWeights(**adopted.model_dump(exclude={"file"}))
    elif not ENCODERS[run.encoder].draws:  # then there is no noise to be drawn in one way or another
        sections["balancing"] = protocol.balancing.model_copy(update={"noise": "chunk"})
    if isinstance(run, SnnRun):
        method = METHODS[run.method]
        sections["training"] = protocol.student if method.trained else None
        read = {*method.sections, *(("label_kd",) if _teaches_labels(method, protocol) else ())}
        others = {name for other in METHODS.values() for name in other.sections} - read
        for section in (*others, *method.unread):
            sections[section] = None
    if own:
        sections["architecture"] = own.model_copy(update={"title": None})  # what exhibits call it changes no run
        network = sections["network"].model_copy(update={"width": 1.0, "fc": None})  # it is built as written
        sections["network"] = network
    kind = SETTINGS[run.kind]
    taken = {name: sections[name] for name in kind.model_fields if name != "revision" and name in sections}
    return kind(revision=_revision(run, protocol), **taken)


def _revision(run: Run, protocol: Protocol) -> int:
    """That of the stage's code, less one where its last change left all results of such settings as they were."""
    if isinstance(run, ConvertedRun) and protocol.balancing.norm != "clip":
        return run.REVISION - 1  # 4: clips in units of a spike
    return run.REVISION


def _teaches_labels(method: Method, protocol: Protocol) -> bool:
    """Whether a layer-wise method is to learn from the teacher's logits as well."""
    return "attention" in method.sections and protocol.attention.labels


OF_TRAINING = {  # keys of `spiking` that only a training reads: at these values they are off
    "train_offsets": False,
    "train_leak": False,
    "loss": "total",
    "firing_penalty": 0.0,
}


OF_PRESETS = ("scope", "energy", "claims")  # sections that no run reads


def check_of_runs(overlay: Overlay, where: str) -> None:
    """InputError if a variant, or an entry `for` some runs, sets what a preset has as a whole."""
    if section := next((name for name in OF_PRESETS if name in overlay), None):
        raise InputError(
            f"config: {where} sets {section}, which holds for all runs of a preset alike: set presets.<name>.{section}"
        )


def check_entry(key: str, where: str, networks: Networks) -> None:
    """InputError if no run of any preset can have all names of an entry `for`."""
    names = set(key.split("+"))
    inputs = {name: name.partition("-T") for name in names if name.partition("-T")[0] in ENCODERS}
    for name, (encoder, with_steps, steps) in inputs.items():
        if with_steps and not re.fullmatch("[1-9][0-9]*", steps):
            raise InputError(f"config: {where}.{key}: {name!r} is no encoder with its T: expected {encoder}-T100, say")
    encoders, methods = {encoder for encoder, *_ in inputs.values()}, names & METHODS.keys()
    students, teachers = names & networks.students.keys(), names & networks.teachers.keys()
    datasets = names - inputs.keys() - methods - students - teachers
    timed = {name for name, (_, with_steps, _) in inputs.items() if with_steps}
    several = any(len(found) > 1 for found in (datasets, students | teachers, methods, encoders, timed))
    untaken = any(encoders - set(METHODS[method].encoders or encoders) for method in methods)
    if several or untaken or (teachers and (methods or encoders)):
        raise InputError(
            f"config: {where}.{key} means no run: name one dataset, one network, one method and one encoder at most; a "
            "teacher has neither method nor encoder, and calibration takes direct input: write an entry for each"
        )


def check_levels(run: AnnRun, settings: AnnSettings) -> None:
    """InputError if weights from elsewhere are to have levels, which they haven't learned."""
    if settings.adopted and settings.network.levels:
        raise InputError(
            f"network.levels is {settings.network.levels}, but the weights of {run} were adopted and know no clips: "
            f"leave network.levels at null and balancing.norm at tb for {run.network}"
        )


def check_options(run: SnnRun, settings: SnnSettings) -> None:
    """InputError for an option that has no meaning for the run, in one line that says what would."""
    method, spiking = METHODS[run.method], settings.spiking
    if settings.spike_kd and settings.spike_kd.window > run.steps:
        raise InputError(
            f"spike_kd.window is {settings.spike_kd.window}, but {run} has {run.steps} time steps: set a window of at "
            f"most {run.steps}"
        )
    micro, training = settings.compute.micro_batch, settings.training
    if settings.of_a_batch and training and micro not in ("auto", training.batch):
        raise InputError(
            f"compute.micro_batch is {micro}, but {run} {settings.of_a_batch} of the whole batch: leave it at auto for "
            f"{run.method}"
        )
    if settings.features and training and training.batch == 1:
        raise InputError(
            f"student.batch is 1, but {run} projects features through batch norm, which needs at least two images"
        )
    if spiking is None:
        return
    for key, off in OF_TRAINING.items():
        value = getattr(spiking, key)
        if value != off and not method.trained:
            raise InputError(
                f"spiking.{key} is {value}, but {run} trains nothing: leave it at {off} for {run.method}, or choose a "
                "method that trains"
            )
    if method.chained and (spiking.loss != "total" or spiking.potential or spiking.init == "calibrated"):
        raise InputError(
            f"{run} follows a chain of spiking readouts, which has none of spiking.loss, spiking.potential and "
            "spiking.init: calibrated: leave them at total, 0 and converted"
        )
    if spiking.init != "calibrated":
        return
    if run.encoder != "direct" or not method.trained:
        raise InputError(
            f"spiking.init: calibrated starts a training with direct input from a calibration, but {run} has "
            f"{run.encoder} input and method {run.method}: choose spiking.init: converted for it"
        )
    if spiking.scale != 1 or spiking.potential:
        raise InputError(
            f"spiking.init: calibrated takes thresholds and potentials from the calibration, but {run} asks for "
            f"spiking.scale: {spiking.scale} and spiking.potential: {spiking.potential:g}: set scale 1 and potential 0"
        )


def check_method(run: SnnRun, scope: Scope, networks: Networks) -> None:
    """InputError if the method of a run is unknown, or its teacher, its encoder or its T don't fit."""
    method = pick(METHODS, run.method, "method")
    teachers = networks.teachers
    known([NO_TEACHER, *teachers, *networks.spiking_teachers], run.teacher, "teacher")
    if method.encoders and run.encoder not in method.encoders:
        takes = " or ".join(method.encoders)
        raise InputError(f"method {run.method!r} takes {takes} input only, but {str(run)!r} names {run.encoder!r}")
    if method.chained:
        pair_above(run, scope)
    elif run.teacher not in (teachers if method.teacher else (NO_TEACHER,)):
        need = f"a teacher ({', '.join(teachers)})" if method.teacher else f"no teacher ({NO_TEACHER})"
        raise InputError(f"method {run.method!r} needs {need}, but {str(run)!r} names {run.teacher!r}")
    if run.steps < 1:
        raise InputError(f"{str(run)!r} asks for {run.steps} time steps: at least 1 is needed")


def check_scope(
    scope: Scope, preset: str, datasets: Collection[str], variants: Collection[str], networks: Networks
) -> None:
    """InputError if the scope of `preset` names something that doesn't exist."""
    where = f"of preset {preset!r} in config: scope"
    students, teachers, encoders = networks.students, networks.teachers, (scope.inputs or {}).items()
    named: list[tuple[str, str, Iterable[str | None], Collection[str]]] = [
        ("dataset", "datasets", scope.datasets, KNOWN_DATASETS),
        ("dataset", "datasets", scope.datasets.values(), datasets),
        ("student", "students", scope.students, students),
        ("student", "teacher_of", scope.teacher_of, students),
        ("student", "focus", [scope.focus], students),
        ("student", "spike_chain", scope.spike_chain, students),
        ("teacher", "teachers", scope.teachers, teachers),
        ("teacher", "teacher_of", scope.teacher_of.values(), teachers),
        ("method", "methods", scope.methods, METHODS),
        ("encoder", "steps", [name.partition("-T")[0] for name in scope.steps], ENCODERS),
        ("encoder", "repeated_inputs", scope.repeated_inputs or (), ENCODERS),
        ("encoder", "inputs", [name for pair in encoders for name in pair], ENCODERS),
        ("claim", "claims", scope.claims, CLAIMS),
        ("corner", "corners_once", scope.corners_once, scope.corners),
    ]
    for kind, key, names, table in named:
        for one in names:
            if one is not None:  # a dataset of the paper that the preset leaves out
                known(table, one, f"{kind} {where}.{key}")
    if not scope.teachers and (taught := [one for one in scope.methods if METHODS[one].teacher]):
        raise InputError(
            f"config: scope.teachers of preset {preset!r} is [], but method {taught[0]!r} needs a teacher: name one of "
            f"{', '.join(teachers)}"
        )
    knobs: dict[str, Iterable[str]] = {
        "repeated": scope.repeated or (),
        "ablations": scope.ablations,
        "own": [f"{method}+{variant}" for method, variant in scope.own.items()],
        "low_t": scope.low_t,
        "recipes": scope.recipes,
        "corners": [f"hybrid+{corner}" for corner in scope.corners],
        "readings": [f"hybrid+{variant}" for variant in (scope.readings or {}).values()],
    }
    for corner, chosen in scope.corners.items():
        knobs[f"corners.{corner}"] = [f"{method}+{variant}" for method, variant in chosen.items()]
    for key, written in knobs.items():
        for knob in written:
            _check_knob(knob, f"{where}.{key}", variants)
    for name in scope.ablations:
        if "+" not in name:
            raise InputError(
                f"config: scope.ablations names {name!r}: expected <method>+<variant>, as lasnn_act+alpha01 or "
                "lasnn_act+alpha01__leak_1"
            )
    if scope.benchmark:
        _check_benchmark(scope, scope.benchmark, where, variants)
    pairs = chain_pairs(scope.spike_chain)
    if twice := [student for student, teacher in pairs if pairs.count((student, teacher)) > 1]:
        raise InputError(
            f"config: scope.spike_chain of preset {preset!r} has {twice[0]!r} behind the same teacher twice: a run is "
            "known by its student and its teacher, so let each such pair occur once"
        )
    for name in scope.steps:
        if not name.partition("-T")[2].isdigit():
            raise InputError(f"config: scope.steps names {name!r}: expected <encoder>-T<steps>, such as poisson-T100")


def _check_benchmark(scope: Scope, plan: Benchmark, where: str, variants: Collection[str]) -> None:
    for title, method, variant in plan.named:
        _check_knob(method if variant == BASE else f"{method}+{variant}", f"{where}.benchmark", variants)
        known(scope.methods, method, f"method {where}.benchmark.rows.{title}, which scope.methods has to have,")
    if all(METHODS[method].teacher for _, method, _ in plan.named):
        raise InputError(f"config: {where}.benchmark has teachers in all rows: add hybrid, which others stand beside")
    ran = scope.steps.get("poisson-T100")
    if ran is None or ran < max(plan.steps):
        raise InputError(
            f"config: {where}.benchmark reads logits after {max(plan.steps)} steps, its runs have {ran or 'none'}: "
            "change scope.benchmark.steps or scope.steps.poisson-T100"
        )


def check_readings(preset: "Preset") -> None:
    """InputError if runs of a variant read the logits otherwise than `scope.readings` calls it."""
    focus = [direct_cell(preset, "gains", method, BASE, REGIME_STEPS) for method in ("hybrid", "lasnn_act")]
    taught = [cell for cell in (*paper_cells("Table II"), *focus) if cell.method in METHODS]
    for name, variant in (preset.scope.readings or {}).items():
        for cell in taught:
            if (found := logit_scale_of(replace(cell, variant=variant), preset)) != name:
                raise InputError(
                    f"config: scope.readings of preset {preset.name!r} says that {variant!r} reads the logits as "
                    f"{name!r}, but for {cell.method} of {cell.student} spiking.logit_scale is {found!r}: name the "
                    "reading so, or another variant"
                )


def _check_knob(name: str, where: str, variants: Collection[str]) -> None:
    """InputError if a method, or a method with a variant behind a plus sign, is unknown."""
    method, plus, variant = name.partition("+")
    known(METHODS, method, f"method {where}")
    for part in variant.split(AND) if plus else ():
        known(variants, part, f"variant {where}")

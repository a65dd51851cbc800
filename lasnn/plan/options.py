"""Which settings a run reads, and whether these and its preset's scope mean anything, known before anything runs."""

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from lasnn.errors import InputError
from lasnn.plan.cells import Benchmark, Scope, chain_pairs, pair_above
from lasnn.plan.own import Adopted, AdoptedWeights, Networks, OwnArchitecture
from lasnn.plan.runs import AND, BASE, AnnRun, Run, SnnRun
from lasnn.plan.settings import SETTINGS, AnnSettings, Protocol, Settings, SnnSettings
from lasnn.plan.vocabulary import (
    CLAIMS,
    ENCODERS,
    METHODS,
    NO_TEACHER,
    Method,
    known,
    pick,
    sides_of,
    taps_by_resolution,
)
from lasnn.plan.vocabulary import KNOWN_DATASETS as DATASETS

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
    return kind(revision=run.REVISION, **taken)


def _teaches_labels(method: Method, protocol: Protocol) -> bool:
    """Whether a layer-wise method is to learn from the teacher's logits as well."""
    return "attention" in method.sections and protocol.attention.labels


OF_TRAINING = {  # keys of `spiking` that only a training reads: at these values they are off
    "train_offsets": False,
    "train_leak": False,
    "loss": "total",
    "firing_penalty": 0.0,
}


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
    if settings.features and training and micro not in ("auto", training.batch):
        raise InputError(
            f"compute.micro_batch is {micro}, but {run} projects features through batch norm, whose statistics are of "
            f"the whole batch: leave it at auto for {run.method}"
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
    students, teachers = networks.students, networks.teachers
    where = f"of preset {preset!r} in config: scope"
    for paper, ours in scope.datasets.items():
        known(DATASETS, paper, f"dataset {where}.datasets")
        if ours is not None:
            known(datasets, ours, f"dataset {where}.datasets")
    for name in (*scope.students, *scope.teacher_of):
        known(students, name, f"student {where}")
    known(students, scope.focus, f"student {where}.focus")
    for name in (*scope.teachers, *scope.teacher_of.values()):
        known(teachers, name, f"teacher {where}")
    for name in scope.methods:
        known(METHODS, name, f"method {where}.methods")
    for name in scope.repeated or ():
        _check_knob(name, f"{where}.repeated", variants)
    for name in scope.repeated_inputs or ():
        known(ENCODERS, name, f"encoder {where}.repeated_inputs")
    for paper, ours in (scope.inputs or {}).items():
        for name in (paper, ours):
            known(ENCODERS, name, f"encoder {where}.inputs")
    for name in scope.claims:
        known(CLAIMS, name, f"claim {where}.claims")
    for name in scope.ablations:
        _check_knob(name, f"{where}.ablations", variants)
        if "+" not in name:
            raise InputError(
                f"config: scope.ablations names {name!r}: expected <method>+<variant>, as lasnn_act+alpha01 or "
                "lasnn_act+alpha01__leak_1"
            )
    for method, variant in scope.own.items():
        _check_knob(f"{method}+{variant}", f"{where}.own", variants)
    for name in scope.low_t:  # <method>+<variant>, or a variant of LaSNN
        _check_knob(name if "+" in name or name in METHODS else f"lasnn_act+{name}", f"{where}.low_t", variants)
    for name in scope.recipes:
        _check_knob(name, f"{where}.recipes", variants)
    for corner, chosen in scope.corners.items():
        _check_knob(f"hybrid+{corner}", f"{where}.corners", [BASE, *variants])
        for method, variant in chosen.items():
            _check_knob(f"{method}+{variant}", f"{where}.corners.{corner}", variants)
    for corner in scope.corners_once:
        known(scope.corners, corner, f"corner {where}.corners_once")
    for variant in (scope.readings or {}).values():
        _check_knob(f"hybrid+{variant}", f"{where}.readings", [BASE, *variants])
    if scope.benchmark:
        _check_benchmark(scope, scope.benchmark, where, variants)
    for name in scope.spike_chain:
        known(students, name, f"student {where}.spike_chain")
    pairs = chain_pairs(scope.spike_chain)
    if twice := [student for student, teacher in pairs if pairs.count((student, teacher)) > 1]:
        raise InputError(
            f"config: scope.spike_chain of preset {preset!r} has {twice[0]!r} behind the same teacher twice: a run is "
            "known by its student and its teacher, so let each such pair occur once"
        )
    for name in scope.steps:
        encoder, _, steps = name.partition("-T")
        known(ENCODERS, encoder, f"encoder {where}.steps")
        if not steps.isdigit():
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


def check_readings(scope: Scope, preset: str, logit_scale: Callable[[str], str]) -> None:
    """InputError if a variant reads the logits otherwise than `scope.readings` of `preset` calls it."""
    for name, variant in (scope.readings or {}).items():
        if (found := logit_scale(variant)) != name:
            raise InputError(
                f"config: scope.readings of preset {preset!r} says that {variant!r} reads the logits as {name!r}, but "
                f"its spiking.logit_scale is {found!r}: name the reading so, or another variant"
            )


def _check_knob(name: str, where: str, variants: Collection[str]) -> None:
    """InputError if a method, or a method with a variant behind a plus sign, is unknown."""
    method, plus, variant = name.partition("+")
    known(METHODS, method, f"method {where}")
    for part in variant.split(AND) if plus else ():
        known(variants, part, f"variant {where}")


USUAL = "every network has them at multiples of 4 from 8 to 32, and 63 or more"


def takes(networks: Networks, name: str, side: int) -> bool:
    """Whether a network has layers to tap on images of this side."""
    arch = networks.known[name]
    try:
        taps_by_resolution(sides_of(arch, side), side)
    except InputError:
        return False
    return True


def check_runs(preset: "Preset", runs: Iterable[Run]) -> None:
    """InputError, before any job, for runs that could only fail: odd images, a window above T, none to train on."""
    for run in runs:
        settings = preset.settings(run)
        if isinstance(run, SnnRun) and isinstance(settings, SnnSettings):
            check_options(run, settings)
            own = preset.config.own_dataset(run.dataset) if settings.attention else None
            for name in (run.student, run.teacher) if own else ():
                if own and not takes(preset.config.networks, name, own.side):
                    raise InputError(
                        f"preset {preset.name!r} compares maps of {name} on {run.dataset}, whose side {own.side} has "
                        f"no layers for that: {USUAL}; set datasets.{run.dataset}.side and resize the images"
                    )
        images, data = settings.data.train_images, settings.data
        if data.assess == "held_out" and images and images <= data.held_out:
            raise InputError(
                f"data.assess: held_out takes {data.held_out} of {images} training images of {run} and leaves none to "
                "train on: set a smaller data.held_out or more data.train_images"
            )

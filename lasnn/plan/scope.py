"""Whether a preset's scope and a run's method name only things that exist and go together."""

from collections.abc import Callable, Collection, Sequence

from lasnn.errors import InputError
from lasnn.plan.architectures import Networks
from lasnn.plan.exhibit_settings import Scope
from lasnn.plan.known_datasets import KNOWN as DATASETS
from lasnn.plan.lookup import known, pick
from lasnn.plan.runs import AND, BASE, SnnRun
from lasnn.plan.vocabulary import CLAIMS, ENCODERS, METHODS, NO_TEACHER


def chain_pairs(chain: Sequence[str]) -> list[tuple[str, str]]:
    """Student and teacher of each run of a chain of spiking networks: each one's teacher is the one before it."""
    return list(zip(chain, [NO_TEACHER, *(f"snn_{student}" for student in chain)], strict=False))


def pair_above(run: SnnRun, scope: Scope) -> tuple[str, str]:
    """Student and teacher of the run that teaches `run` in the chain; InputError if `run` isn't in it."""
    pairs = chain_pairs(scope.spike_chain)
    if (run.student, run.teacher) not in pairs:
        chain = ", ".join(f"{student} with teacher {teacher}" for student, teacher in pairs)
        raise InputError(
            f"method {run.method!r} follows scope.spike_chain: {chain}; {str(run)!r} has {run.student} with teacher "
            f"{run.teacher}: change the run or the chain"
        )
    return pairs[max(0, pairs.index((run.student, run.teacher)) - 1)]


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

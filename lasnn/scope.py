"""Whether a preset's scope names only things that exist, and ablations in their form."""

from collections.abc import Collection

from lasnn.datasets import KNOWN as DATASETS
from lasnn.errors import InputError
from lasnn.lookup import known
from lasnn.settings import Scope
from lasnn.vocabulary import ENCODERS, METHODS, STUDENTS, TEACHERS


def check_scope(scope: Scope, preset: str, datasets: Collection[str], variants: Collection[str]) -> None:
    """InputError if the scope of `preset` names something that doesn't exist."""
    where = f"of preset {preset!r} in config: scope"
    for paper, ours in scope.datasets.items():
        known(DATASETS, paper, f"dataset {where}.datasets")
        if ours is not None:
            known(datasets, ours, f"dataset {where}.datasets")
    for name in (*scope.students, *scope.teacher_of):
        known(STUDENTS, name, f"student {where}")
    known(STUDENTS, scope.focus, f"student {where}.focus")
    for name in (*scope.teachers, *scope.teacher_of.values()):
        known(TEACHERS, name, f"teacher {where}")
    for name in scope.methods:
        known(METHODS, name, f"method {where}.methods")
    for name in scope.ablations:
        method, plus, variant = name.partition("+")
        known(METHODS, method, f"method {where}.ablations")
        if not plus:
            raise InputError(
                f"config: scope.ablations names {name!r}: expected <method>+<variant>, as lasnn_act+alpha01"
            )
        known(variants, variant, f"variant {where}.ablations")
    for name in scope.steps:
        encoder, _, steps = name.partition("-T")
        known(ENCODERS, encoder, f"encoder {where}.steps")
        if not steps.isdigit():
            raise InputError(f"config: scope.steps names {name!r}: expected <encoder>-T<steps>, such as poisson-T100")

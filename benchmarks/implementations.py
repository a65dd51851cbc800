"""The implementations by name, and whether they can be had here."""

import importlib.util
from dataclasses import replace

from benchmarks.case import Subject
from benchmarks.measure import clock
from lasnn.plan.vocabulary import pick

MODULES = {
    "floor": ("benchmarks.floor", "Floor", None),
    "floor bf16": ("benchmarks.floor", "Bfloat16Floor", None),
    "ours": ("benchmarks.ours", "Ours", None),
    "ours by torch": ("benchmarks.ours", "ByTorch", None),
    "spikingjelly": ("benchmarks.spikingjelly_peer", "Spikingjelly", "spikingjelly"),
    "snntorch": ("benchmarks.snntorch_peer", "Snntorch", "snntorch"),
    "spyx": ("benchmarks.spyx_peer", "Spyx", "spyx"),
}
PEERS = ("spikingjelly", "snntorch", "spyx")
USUAL = tuple(name for name in MODULES if name != "ours by torch")
FLOORS = ("floor", "floor bf16")
TRIAL = 16  # steps of the trial in which a peer's variants compete


def installed(name: str) -> bool:
    """Whether the library that `name` needs can be imported."""
    package = pick(MODULES, name, "implementation")[2]
    return package is None or importlib.util.find_spec(package) is not None


def kind(name: str) -> type:
    """The class of an implementation; its library is imported only now."""
    module, attribute, _ = pick(MODULES, name, "implementation")
    return getattr(importlib.import_module(module), attribute)


def quickest(name: str, subject: Subject, action: str, clock_kind: str = "wall"):
    """The implementation, in whichever of its variants does `action` (train, infer) fastest in a short trial."""
    made = kind(name)
    short = replace(subject, case=replace(subject.case, steps=min(subject.case.steps, TRIAL)))
    best = None
    for variant in made.variants:
        candidate = made(short, variant)
        call = getattr(candidate, action)
        call()
        seconds = min(clock(call, subject.case.device, clock_kind) for _ in range(2))
        if best is None or seconds < best[0]:
            best = seconds, variant
        del candidate, call
    return made(subject, best[1])

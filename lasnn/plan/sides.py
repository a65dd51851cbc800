"""On which widths of images the maps of a network can be compared, known before anything is prepared or built.

Layers to be tapped must lie at R, R/2 and R/4, R = min(side, 32) (docs/choices.md, taps): halving an odd side misses
them. A test compares this with the networks that are built.
"""

from collections.abc import Iterable
from itertools import pairwise

from lasnn.errors import InputError
from lasnn.plan.architectures import Networks
from lasnn.plan.config import Preset
from lasnn.plan.layers import sides_of, taps_by_resolution
from lasnn.plan.options import check_options
from lasnn.plan.runs import Run, SnnRun
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import POOLS, Architecture

USUAL = "every network has them at multiples of 4 from 8 to 32, and 63 or more"


def takes(networks: Networks, name: str, side: int) -> bool:
    """Whether a network has layers to tap on images of this side."""
    arch = networks.known[name]
    if arch.family == "densenet":  # its stages lie at R, R/2, R/4 and R/8
        now, sides = -(-side // 2) if side > 32 else side, {}
        for index in range(len(arch.features)):
            sides[f"d{index + 1}"], now = now, max(now // 2, 1)
    else:
        sides = _sides(name, arch, side)
    try:
        taps_by_resolution(sides, side)
    except InputError:
        return False
    return True


def _sides(name: str, arch: Architecture, side: int) -> dict[str, int]:
    """As `sides_of`; pools of the paper's networks stop at side 1."""
    if arch.family not in ("plain", "plain_bn"):
        return sides_of(name, arch, side)
    found: dict[str, int] = {}
    for feature, following in pairwise((*arch.features, None)):
        if feature not in POOLS:
            found[f"c{len(found) + 1}"] = side
            side = side // 2 if following in POOLS and side > 1 else side
    return found


def check_runs(preset: Preset, runs: Iterable[Run]) -> None:
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

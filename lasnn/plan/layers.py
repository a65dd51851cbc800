"""What follows from a network's definition before it is built: the side of each layer, and which layers are tapped."""

from collections.abc import Mapping
from itertools import pairwise

from lasnn.errors import InputError
from lasnn.plan.vocabulary import LEVELS, POOLS, Architecture


def sides_of(name: str, arch: Architecture, side: int) -> dict[str, int]:
    """The side of each layer's activation, in order; InputError if pools are left when the side is 1.

    Of plain and residual networks, whose builders in `lasnn/networks/` give the same.
    """
    sides: dict[str, int] = {}
    now = side
    if arch.family.startswith("plain"):
        for feature, following in pairwise((*arch.features, None)):
            if feature in POOLS:
                continue
            sides[f"c{len(sides) + 1}"] = now
            if following in POOLS:
                if now == 1:
                    raise InputError(
                        f"network {name!r} has {sum(feature in POOLS for feature in arch.features)} pools, of which "
                        f"images of {side}x{side} have room for {side.bit_length() - 1}: take some out of its features"
                    )
                now //= 2
        return sides
    if arch.family == "residual":
        sides, now, prefix = dict.fromkeys(("p1", "p2", "p3"), side), side // 2, "b"
    else:
        now, prefix = halved(side, 2) if side > 32 else side, "s"
    for index, stride in enumerate(arch.strides):
        now = halved(now, stride if now > 1 or arch.family == "residual_bn" else 1)
        sides[f"{prefix}{index + 1}"] = now
    return sides


def halved(side: int, stride: int) -> int:
    """Side after a padded convolution with this stride."""
    return (side + stride - 1) // stride


def taps_by_resolution(sides: Mapping[str, int], side: int) -> dict[str, str]:
    """Level -> layer: the last layers at R, R/2 and R/4, R = min(side, 32), all distinct (docs/choices.md, taps)."""
    names, resolution, taps = list(sides), min(side, 32), {}
    end = len(names)
    for level, smallest in zip(reversed(LEVELS), (resolution / 4, resolution / 2, resolution), strict=True):
        found = [index for index in range(end) if sides[names[index]] >= smallest]
        if not found:
            raise InputError(
                f"taps: no layer is left for level {level!r} with a side of at least {smallest:g} in a network with "
                f"sides {list(sides.values())}: choose a deeper network or larger images"
            )
        end = found[-1]
        taps[level] = names[end]
    return taps


def taps_deep(sides: Mapping[str, int], side: int) -> dict[str, str]:
    """As `taps_by_resolution`, but high is the last layer that may be tapped."""
    return taps_by_resolution(sides, side) | {"high": list(sides)[-1]}


TAPS = {"resolution": taps_by_resolution, "deep": taps_deep}

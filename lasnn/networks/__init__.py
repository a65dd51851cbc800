"""Layers and architectures: from a line of data (`lasnn.plan.vocabulary`) to a network over [T, B, ...].

An activation is a module like any other here; that some of them spike is not known in this room.
"""

from lasnn.networks.building import FAMILIES, build, initialise
from lasnn.networks.net import Census, Net, Output, census
from lasnn.plan.vocabulary import TAPS

__all__ = ["FAMILIES", "TAPS", "Census", "Net", "Output", "build", "census", "initialise"]

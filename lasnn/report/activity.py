"""What a network did, drawn: a raster of spikes, and firing rates over time. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lasnn.errors import InputError
from lasnn.report import style
from lasnn.report.late import Drawing

if TYPE_CHECKING:
    from lasnn.spiking.recording import Recording


def raster(recordings: Mapping[str, Recording], image: int = 0, neurons: int = 60) -> Drawing:
    """A dot for each spike of one image: time steps from 1 to T across, neurons up, a panel for each layer.

    At most `neurons` of a layer are drawn, evenly chosen in their order (C, H, W). InputError for an image that isn't
    there.
    """
    from matplotlib.ticker import MaxNLocator

    _check(recordings, image)
    drawing, panels = style.sheet(len(recordings), height=0.5 + 0.9 * len(recordings), sharex=True)
    drawing.set_layout_engine("constrained")
    for (axes,), (name, layer) in zip(panels, recordings.items(), strict=True):
        spikes = layer.spikes[:, image].flatten(1)  # [T, n]
        steps, count = spikes.shape
        chosen = [place * count // min(neurons, count) for place in range(min(neurons, count))]
        times, rows = spikes[:, chosen].nonzero(as_tuple=True)
        axes.scatter(times.cpu() + 1, rows.cpu(), s=5, marker="s", color="#303030", linewidths=0)
        axes.set(xlim=(0.5, steps + 0.5), ylim=(-1, len(chosen)), yticks=[])
        axes.set_ylabel(f"{name}\n{len(chosen)} of {count:,}", rotation=0, ha="right", va="center")
    axes.set_xlabel("time step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return drawing


def rates(recordings: Mapping[str, Recording]) -> Drawing:
    """A line for each layer: spikes in a time step, as a share of its neurons, the mean over images."""
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    _check(recordings, 0)
    drawing, ((axes,),) = style.sheet()
    drawing.set_layout_engine("constrained")
    colors = colormaps["viridis"].resampled(len(recordings) + 1)  # by depth; methods have colours of their own
    for index, (name, layer) in enumerate(recordings.items()):
        by_step = layer.spikes.flatten(1).mean(1).cpu()  # [T]
        axes.plot(range(1, len(by_step) + 1), by_step, label=name, color=colors(index), marker="o", markersize=3.5)
    axes.set(xlabel="time step", ylim=(0, None))
    style.name_y(axes, "spikes of a neuron in a step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title="layer", fontsize=7)
    return drawing


def _check(recordings: Mapping[str, Recording], image: int) -> None:
    if not recordings:
        raise InputError("there is nothing to draw: give what `net.record(images)` returned")
    images = next(iter(recordings.values())).spikes.shape[1]
    if not 0 <= image < images:
        raise InputError(f"image {image} was asked for, {images} were recorded: count them from 0 to {images - 1}")

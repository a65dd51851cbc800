"""What a run will cost on this device, by a short calibration: seconds and bytes.

Each kind of update and of look is timed for a moment with the run's own code (`lasnn.training.probe`), of a large
network with fewer images and time steps; the rest is proportion. It is an estimate, good for choosing between a laptop
and a night on a cluster.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch

from lasnn import seeding
from lasnn.networks import Census, Net, build, census, initialise
from lasnn.networks.quantised import quantise
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun, as_snn
from lasnn.plan.settings import AnnSettings, Calibration, ConvertedSettings, Settings, SnnSettings, Training
from lasnn.plan.vocabulary import ENCODERS, KNOWN_DATASETS, NO_TEACHER, Architecture, given
from lasnn.spiking.conversion import neurons, spiking
from lasnn.spiking.neurons import Dynamics
from lasnn.training import probe
from lasnn.training.stages.student import micro_batch

PROBE_STEPS = 4  # time steps of a large network's calibration, and of the first look at any
LONG_PROBE = 16  # of a small one's, at most
IMAGES = 64  # of a look, at most
FIRST = 16  # images of the first look at a network: a large one is busy with that


class Estimate:
    """Seconds and bytes of one run."""

    def __init__(self, preset: Preset, run: Run, device: torch.device):
        self.preset, self.run, self.device = preset, run, device
        self.settings: Settings = preset.settings(run)
        torch.set_num_threads(self.settings.compute.threads)
        source = KNOWN_DATASETS.get(run.dataset)
        own = preset.config.own_dataset(run.dataset)
        self.side = source.side if source else given(own).side
        self.classes = source.classes if source else 10
        self.train = self.settings.data.train_images or (source.train if source else 10_000)
        self.test = self.settings.data.test_images or (source.test if source else 2_000)

    def seconds(self) -> float:
        """Of training and evaluation; loading and imports are left out."""
        settings = self.settings
        if isinstance(settings, AnnSettings):
            look = self.test * self._ann_look(self.run)
            if settings.training is None:  # adopted
                return look
            return settings.training.epochs * (self.train * self._ann_update(self.run) + look) + look
        if isinstance(settings, ConvertedSettings):
            infer, curve, balancing = self._spiking_look(), settings.curve, settings.balancing
            shown = min(curve.images or self.test, self.test)
            # Every layer is simulated twice: for its threshold and for its output.
            simulated = 0 if balancing.norm == "clip" else 2  # learned clips are thresholds already
            balanced = simulated * balancing.images * balancing.batches * balancing.steps * infer
            return balanced + len(curve.scales) * shown * curve.steps * infer
        return self._student_seconds(as_snn(self.run), settings)

    def _student_seconds(self, run: SnnRun, settings: SnnSettings) -> float:
        infer = self._spiking_look()
        if settings.calibration:
            return self._calibration_seconds(run, settings.calibration, infer)
        recipe, seeds = settings.training, len(settings.evaluation.seeds) if ENCODERS[run.encoder].draws else 1
        seconds = ((recipe.epochs if recipe else 0) + seeds) * self.test * run.steps * infer
        searched = len(given(settings.choices).scale_grid) if given(settings.spiking).scale == "search" else 1
        looked_at = min(given(settings.choices).images, settings.data.held_out)
        seconds += (searched + (recipe is not None)) * looked_at * run.steps * infer  # and once more with the leak
        if settings.spike_kd:  # the readout's threshold
            balancing = given(settings.balancing)
            seconds += balancing.images * balancing.batches * balancing.steps * infer
        if recipe:
            seconds += recipe.epochs * self.train * self._student_update(run, settings, recipe)
        return seconds

    def _calibration_seconds(self, run: SnnRun, settings: Calibration, infer: float) -> float:
        """Of a calibration: every layer is corrected after all before it were simulated, about half of the network."""
        steps = run.steps
        layers = len(neurons(spiking(self._net(run), Dynamics())))
        seconds = (self.test + 2 * settings.images * layers / 2) * steps * infer
        if settings.form == "advanced_weights":
            recipe, (ann,) = settings.weights, self.preset.parents(run)
            images = recipe.images * steps * infer * layers / 2
            seconds += images + recipe.steps * recipe.batch * self._ann_update(ann)
        return seconds

    def bytes(self) -> int:
        """Checkpoint, predictions and logs, and the resume state while it runs."""
        return 4 * self._census(self.run).weights + 4 * self.test * self.classes + 20_000

    def _net(self, run: Run) -> Net:
        network = self.preset.settings(run).network
        net = build(
            self._architecture(run),
            self.classes,
            self.side,
            width=network.width,
            fc=network.fc,
            dropout_scale=network.dropout_scale,
        )
        draws = seeding.generator(run.seed, "initial weights", run.network_name)
        return initialise(net, self._architecture(run), network.init, draws).to(self.device)

    def _ann(self, run: Run) -> Net:
        """The network as an ANN is trained: its activations in levels, where the settings say so."""
        net, levels = self._net(run), self.preset.settings(run).network.levels
        return net if levels is None else quantise(net, levels).to(self.device)

    def _architecture(self, run: Run) -> Architecture:
        return self.preset.config.networks.known[run.network_name]

    def _key(self, run: Run) -> tuple[object, ...]:
        network = self.preset.settings(run).network.model_dump_json()
        return repr(self._architecture(run)), network, self.classes, self.side, self.settings.compute.threads

    def _census(self, run: Run) -> Census:
        return _remembered(("census", *self._key(run)), lambda: census(self._net(run)))

    def _ann_look(self, run: Run) -> float:
        """Seconds for each image of an ANN's evaluation."""
        rows = self.settings.compute.rows

        def measure() -> float:
            net = self._ann(run)
            first = probe.look_seconds(net, "direct", 1, rows, FIRST)
            return first if first * FIRST > probe.SECONDS else probe.look_seconds(net, "direct", 1, rows, IMAGES)

        return _remembered(("ann look", rows, *self._key(run)), measure)

    def _ann_update(self, run: Run) -> float:
        """Seconds for each image of an ANN's training; of one that was adopted about as much."""
        settings = self.preset.settings(run)
        assert isinstance(settings, AnnSettings)
        if settings.training is None:
            return 3 * self._ann_look(run)
        recipe, batch = settings.training, settings.training.batch
        if self.device.type == "cpu":
            batch = min(batch, 32)  # a CPU is busy with that

        def measure() -> float:
            net = self._ann(run)
            return probe.update_seconds(net, probe.ann_losses(net), recipe, settings.data, batch, batch)

        return _remembered(("ann", batch, recipe.optimizer, *self._key(run)), measure)

    def _spiking_look(self) -> float:
        """Seconds for each image and time step of the student's evaluation."""
        run, rows, encoder = self.run, self.settings.compute.rows, str(getattr(self.run, "encoder", "direct"))
        steps = min(getattr(run, "steps", LONG_PROBE), LONG_PROBE)

        def measure() -> float:
            net = probe.spiking_net(self._net(run), self._scale())
            first = probe.look_seconds(net, encoder, PROBE_STEPS, rows, FIRST)
            if first * FIRST * PROBE_STEPS > probe.SECONDS:
                return first
            return probe.look_seconds(net, encoder, steps, rows, IMAGES)

        return _remembered(("look", encoder, steps, rows, self._scale(), *self._key(run)), measure)

    def _student_update(self, run: SnnRun, settings: SnnSettings, recipe: Training) -> float:
        """Seconds for each image of the student's training, its teacher's included."""
        teacher = self.preset.parents(run)[-1] if run.teacher != NO_TEACHER else None
        least = settings.spike_kd.window if settings.spike_kd else 1
        large = self._spiking_look() * recipe.batch * PROBE_STEPS > probe.SECONDS

        def measure_at(steps: int) -> float:
            short, spiked = replace(run, steps=steps), settings.spike_kd is not None
            net = probe.spiking_net(self._net(run), self._scale(), spiked)
            asked = None
            if isinstance(teacher, SnnRun):
                asked = probe.spiking_net(self._net(teacher), self._scale(), True)
            elif teacher:
                asked = self._net(teacher)
            losses = probe.distilling(net, asked, short, settings)
            parts = micro_batch(settings, run, net)
            return probe.update_seconds(net, losses, recipe, settings.data, recipe.batch, parts)

        def measure() -> float:
            long = max(PROBE_STEPS if large else LONG_PROBE, 2 * least)
            if run.steps <= long:
                return measure_at(run.steps)
            at_half, at_whole = measure_at(long // 2), measure_at(long)  # what does not grow with T is the teacher's
            return at_whole + (run.steps - long) * max(at_whole - at_half, 0.0) / (long - long // 2)

        sections = [section.model_dump_json() for section in (settings.attention, settings.spiking) if section]
        key = run.method, run.encoder, run.steps, recipe.batch, recipe.optimizer, large, sections
        return _remembered(("student", *key, *self._key(run), *(self._key(teacher) if teacher else ())), measure)

    def _scale(self) -> float:
        """s of a student; of one that searches for it a usual one."""
        spiked = getattr(self.settings, "spiking", None)
        if spiked is None:
            return 1.0
        return probe.SCALE if spiked.scale == "search" else float(spiked.scale)


Found = TypeVar("Found")
_MEASURED: dict[str, Any] = {}


def _remembered(key: tuple[object, ...], measure: Callable[[], Found]) -> Found:
    """A measurement made once for each network and batch."""
    name = json.dumps(key)
    if name not in _MEASURED:
        _MEASURED[name] = measure()
    return _MEASURED[name]

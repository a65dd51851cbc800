"""What a run will cost on this device, by a short calibration: seconds and bytes.

Each network is timed for a moment on its own input, an ANN as a whole step, a student for a few images and time steps;
the rest is proportion. It is an estimate, good for choosing between a laptop and a night on a cluster.
"""

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from lasnn.datasets.batches import Batch
from lasnn.networks import Census, Net, build, census
from lasnn.plan.config import Preset
from lasnn.plan.known_datasets import KNOWN
from lasnn.plan.lookup import given
from lasnn.plan.runs import Run, SnnRun, as_snn
from lasnn.plan.settings import AnnSettings, Calibration, ConvertedSettings, Settings
from lasnn.plan.vocabulary import NO_TEACHER, Architecture
from lasnn.spiking.conversion import neurons, scale_thresholds, spiking
from lasnn.spiking.neurons import Dynamics

PROBE_STEPS = 4  # time steps of a calibration
LONG_PROBE = 16  # of one of a small network's training, at most
PROBE_SECONDS = 0.5  # how long each measurement goes on at most, beyond its first calls


class Estimate:
    """Seconds and bytes of one run."""

    def __init__(self, preset: Preset, run: Run, device: torch.device):
        self.preset, self.run, self.device = preset, run, device
        self.settings: Settings = preset.settings(run)
        torch.set_num_threads(self.settings.compute.threads)
        source = KNOWN.get(run.dataset)
        own = preset.config.own_dataset(run.dataset)
        self.side = source.side if source else given(own).side
        self.classes = source.classes if source else 10
        self.train = self.settings.data.train_images or (source.train if source else 10_000)
        self.test = self.settings.data.test_images or (source.test if source else 2_000)

    def seconds(self) -> float:
        """Of training and evaluation; loading and imports are left out."""
        settings = self.settings
        if isinstance(settings, AnnSettings):
            if settings.training is None:  # adopted
                return self.test * self._ann_step(self.run, train=False)
            step = self._ann_step(self.run, train=True)
            return settings.training.epochs * (self.train * step + self.test * step / 3)
        if isinstance(settings, ConvertedSettings):
            curve, balancing = settings.curve, settings.balancing
            infer = self._spiking_step(train=False)
            shown = min(curve.images or self.test, self.test)
            # Every layer is simulated twice: for its threshold and for its output.
            balanced = 2 * balancing.images * balancing.batches * balancing.steps * infer
            return balanced + len(curve.scales) * shown * curve.steps * infer
        run, infer = as_snn(self.run), self._spiking_step(train=False)
        if settings.calibration:
            return self._calibration_seconds(run, settings.calibration, infer)
        looks = settings.training.epochs if settings.training else 0
        seconds = (looks + len(settings.evaluation.seeds)) * self.test * run.steps * infer
        seconds += 2 * min(given(settings.choices).images, settings.data.held_out) * run.steps * infer
        if settings.training:
            each = run.steps * self._spiking_step(train=True)
            if run.teacher != NO_TEACHER:
                teacher = self.preset.parents(run)[-1]
                if isinstance(teacher, SnnRun):
                    each += run.steps * Estimate(self.preset, teacher, self.device)._spiking_step(train=False)
                else:
                    each += self._ann_step(teacher, train=run.method == "lasnn_grad")
            if settings.spike_kd:  # the readout's threshold
                balancing = given(settings.balancing)
                seconds += balancing.images * balancing.batches * balancing.steps * infer
            seconds += settings.training.epochs * self.train * each
        return seconds

    def _calibration_seconds(self, run: SnnRun, settings: Calibration, infer: float) -> float:
        """Of a calibration: every layer is corrected after all before it were simulated, about half of the network."""
        steps = run.steps
        layers = len(neurons(spiking(self._net(run), Dynamics())))
        seconds = (self.test + 2 * settings.images * layers / 2) * steps * infer
        if settings.form == "advanced_weights":
            recipe, (ann,) = settings.weights, self.preset.parents(run)
            images = recipe.images * steps * infer * layers / 2
            seconds += images + recipe.steps * recipe.batch * self._ann_step(ann, train=True)
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
        return net.to(self.device)

    def _architecture(self, run: Run) -> Architecture:
        return self.preset.config.networks.known[run.network_name]

    def _key(self, run: Run) -> tuple[object, ...]:
        network = self.preset.settings(run).network.model_dump_json()
        return repr(self._architecture(run)), network, self.classes, self.side, self.settings.compute.threads

    def _census(self, run: Run) -> Census:
        return _remembered(("census", *self._key(run)), lambda: census(self._net(run)))

    def _ann_step(self, run: Run, train: bool) -> float:
        """Seconds for each image of an ANN."""
        settings = self.preset.settings(run)
        assert isinstance(settings, AnnSettings)
        batch = settings.training.batch if settings.training else 64
        if self.device.type == "cpu":
            batch = min(batch, 32)  # a CPU is busy with that

        def measure() -> float:
            x = torch.randn(1, batch, 3, self.side, self.side)
            return _timed(self._net(run), x, self.device, train, PROBE_SECONDS) / batch

        return _remembered(("ann", train, batch, *self._key(run)), measure)

    def _spiking_step(self, train: bool) -> float:
        """Seconds for each image and time step of the student."""
        training = getattr(self.settings, "training", None)
        batch = training.batch if train and training else 16

        steps = min(as_snn(self.run).steps, LONG_PROBE) if train else PROBE_STEPS
        size = batch if train else max(batch, self.settings.compute.rows // PROBE_STEPS)  # as evaluation takes them

        def measure() -> float:
            net = scale_thresholds(spiking(self._net(self.run), Dynamics()), 1.0)

            def timed(steps: int, size: int, patience: float) -> float:
                x = torch.randint(-1, 2, (steps, size, 3, self.side, self.side)).float()
                return _timed(net, x, self.device, train, patience)

            first = timed(PROBE_STEPS, batch, 0)
            if first > PROBE_SECONDS:  # a large network is busy with that
                return first / (batch * PROBE_STEPS)
            return timed(steps, size, PROBE_SECONDS) / (size * steps)

        return _remembered(("spiking", train, batch, steps, size, *self._key(self.run)), measure)


Found = TypeVar("Found")
_MEASURED: dict[str, Any] = {}


def _remembered(key: tuple[object, ...], measure: Callable[[], Found]) -> Found:
    """A measurement made once for each network and batch."""
    name = json.dumps(key)
    if name not in _MEASURED:
        _MEASURED[name] = measure()
    return _MEASURED[name]


def _timed(net: Net, x: torch.Tensor, device: torch.device, train: bool, patience: float) -> float:
    """The fastest of a few calls, in seconds; on one CPU thread seconds of work, whatever else the machine does."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    x = x.to(device)
    batch = Batch(x[0], torch.zeros(x.shape[1], dtype=torch.long, device=device))
    net.train(train)

    def call() -> float:
        began = clock()
        with torch.set_grad_enabled(train):
            logits = net(x).logits
            if train:
                torch.nn.functional.cross_entropy(logits, batch.labels).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - began

    first = call()
    if first > PROBE_SECONDS:  # long enough for its warm-up not to matter
        return first
    began, best = clock(), call()
    while clock() - began < patience:
        best = min(best, call())
    return best

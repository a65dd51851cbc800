"""What `python -m benchmarks` can measure: each entry of RUNS makes the rows of one CSV file."""

import gc
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import torch

from benchmarks.case import DEVIATIONS, Case, prepare
from benchmarks.distillation import distillation_row
from benchmarks.equality import check
from benchmarks.implementations import PEERS, installed, kind, quickest
from benchmarks.measure import apart, by_turns, columns, origin, summary
from benchmarks.teacher import teacher_rows
from lasnn.training.allocator import keep_freed_memory
from lasnn.training.precision import tf32

SCALING_STEPS = {"train": (10, 25, 50, 100), "infer": (10, 25, 100, 250, 1000, 2500)}
SCALING_BATCHES, SCALING_WIDTHS, SCALING_T = (4, 8, 16, 32), (0.25, 0.5, 1.0), 25


@dataclass(frozen=True)
class Request:
    """The command line, read."""

    networks: tuple[str, ...]
    steps: tuple[int, ...]
    batch: int
    rounds: int
    threads: int
    width: float
    device: str
    micro_batch: int | None
    images: int
    implementations: tuple[str, ...]
    clock: str = "wall"
    fc: int | None = None
    amp: tuple[str, ...] = ("off",)
    deviations: float = DEVIATIONS

    def cases(self) -> Iterator[Case]:
        """Networks x steps x precisions."""
        words = {"device": self.device, "fc": self.fc, "deviations": self.deviations}
        for network in self.networks:
            for steps in self.steps:
                for amp in self.amp:
                    yield Case(network, steps, self.batch, self.width, amp=amp, **words)

    @property
    def usable(self) -> tuple[str, ...]:
        """The implementations whose library is installed."""
        return tuple(name for name in self.implementations if installed(name))


def say(line: str) -> None:
    print(line, flush=True)


def timed(request: Request, action: str) -> Iterator[dict]:
    """`train` or `infer`: all implementations by turns, after every peer was found equal to ours."""
    for case in request.cases():
        started, subject = origin(request.device), prepare(case, request.images if action == "infer" else None)
        ours = kind("ours")(subject)
        density = " ".join(f"{share:.3f}" for share in ours.densities())
        things, distances = {}, {}
        for name in request.usable:
            if name in PEERS:
                thing = quickest(name, subject, action, request.clock)
                distances[name] = found = check(thing, ours)
                say(f"  {name} ({thing.variant}) equals ours: {found}")
            else:
                thing = ours if name == "ours" else kind(name)(subject)
            things[name] = thing
        if action == "train" and request.micro_batch and "ours" in things:
            parts = replace(subject, case=replace(case, micro_batch=min(request.micro_batch, case.batch)))
            thing = kind("ours")(parts)
            things[thing.name] = thing
        with tf32(case.amp == "tf32"):
            times = by_turns(
                {n: getattr(t, action) for n, t in things.items()}, request.rounds, request.device, request.clock
            )
        for name, seconds in times.items():
            row = {"what": action, "implementation": name, "variant": getattr(things[name], "variant", "")}
            row |= (
                {"clock": request.clock}
                | columns(case)
                | ({"images": len(subject.images)} if action == "infer" else {})
            )
            row |= summary(seconds, times.get("floor"), times.get("ours"))
            row |= {f"differs_{k}": v for k, v in asdict(distances[name]).items()} if name in distances else {}
            row |= {"share_nonzero": density}
            yield row | started | {"load_1min_end": origin(request.device)["load_1min"]}
            ratio = row["ratio_to_floor"] or float("nan")
            say(f"  {case.network} T={case.steps} {action} {name}: {row['median_s']:.3f} s, {ratio:.2f} x floor")
        del things, thing, ours, subject
        gc.collect()


def memory(request: Request) -> Iterator[dict]:
    """Peak memory of training steps, each implementation alone; peers in every variant."""
    for case in request.cases():
        jobs = []
        for name in request.usable:
            if name == "ours":
                jobs.append((name, case, ""))
                if request.micro_batch:
                    parts = min(request.micro_batch, case.batch)
                    jobs.append((f"ours, micro-batches of {parts}", replace(case, micro_batch=parts), ""))
            elif name in PEERS:
                jobs += [(name, case, variant) for variant in kind(name).variants]
        for label, single, variant in jobs:
            started = origin(request.device)
            job = {"implementation": label.split(",")[0], "case": asdict(single), "action": "train"}
            found = apart(job | {"variant": variant, "threads": request.threads})
            found["times_s"] = " ".join(f"{value:.4f}" for value in found["times_s"])
            yield {"what": "memory", "implementation": label} | columns(single) | found | started
            say(f"  {case.network} T={case.steps} {label} {variant}: {found['above_imports_mb']:.0f} MB above imports")


def scaling(request: Request) -> Iterator[dict]:
    """Ours against T, batch and width, each point in a process of its own."""
    for network in request.networks:
        base = Case(network, SCALING_T, request.batch, request.width, device=request.device)
        points = [("T", a, replace(base, steps=t)) for a, all_t in SCALING_STEPS.items() for t in all_t]
        points += [("batch", a, replace(base, batch=b)) for a in SCALING_STEPS for b in SCALING_BATCHES]
        points += [("width", a, replace(base, width=w)) for a in SCALING_STEPS for w in SCALING_WIDTHS]
        for axis, action, case in points:
            started = origin(request.device)
            job = {"implementation": "ours", "case": asdict(case), "action": action, "threads": request.threads}
            found = apart(job | {"repeats": 3, "images": case.batch})
            found["times_s"] = " ".join(f"{value:.4f}" for value in found["times_s"])
            yield {"what": "scaling", "axis": axis, "action": action} | columns(case) | found | started
            say(
                f"  {network} {action} T={case.steps} batch={case.batch} width={case.width:g}: "
                f"{found['median_s']:.3f} s, {found['above_imports_mb']:.0f} MB"
            )


def distillation(request: Request) -> Iterator[dict]:
    """Training by layer-wise distillation."""
    for case in request.cases():
        part = request.micro_batch and min(request.micro_batch, case.batch)
        started = origin(request.device)
        row = distillation_row(replace(case, micro_batch=part), request.images, request.rounds, request.clock)
        yield columns(case) | row | {"clock": request.clock} | started
        peak = f", peak {row['device_peak_mb']:.0f} MB" if "device_peak_mb" in row else ""
        say(
            f"  {case.network} T={case.steps} amp {case.amp}: {row['step_s'] * 1e3:.1f} ms a step, "
            f"{row['images_per_s']:.0f} images/s, {row['epoch_s']:.0f} s for 50,000{peak}"
        )


def ann(request: Request) -> Iterator[dict]:
    """Teacher training beside a plain loop."""
    started = origin(request.device)
    for row in teacher_rows(
        request.batch, request.images, request.rounds, request.width, request.device, request.clock
    ):
        yield row | {"clock": request.clock} | started
        say(f"  {row['implementation']}: {row['images_per_s']:.1f} images/s")


RUNS = {
    "training": lambda request: timed(request, "train"),
    "inference": lambda request: timed(request, "infer"),
    "memory": memory,
    "distillation": distillation,
    "ann": ann,
    "scaling": scaling,
}


def set_up(request: Request) -> None:
    """Threads, the allocator's setting that our jobs use, for everyone, and float32 products on a GPU as on a CPU."""
    torch.set_num_threads(request.threads)
    keep_freed_memory()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

"""The forward pass of a frozen network as one launch: a CUDA graph, recorded once and replayed."""

import torch
from torch import Tensor

from lasnn.networks.net import Net, Output


class Recorded:
    """Calls of a frozen `net` in evaluation mode: [T, B, 3, H, W] to its Output, as the net itself.

    On a GPU and without a gradient the kernels of the first call for a shape are replayed in all later ones, so that
    a deep teacher costs the CPU nothing. What a call returns is overwritten by the next. Elsewhere the net is called.
    """

    def __init__(self, net: Net):
        self.net = net
        self.recordings: dict[tuple[object, ...], tuple[Tensor, torch.cuda.CUDAGraph, Output]] = {}

    def __call__(self, x: Tensor) -> Output:
        if not x.is_cuda or torch.is_grad_enabled():
            output: Output = self.net(x)
            return output
        products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
        key = x.shape, x.stride(), x.dtype, products, torch.is_autocast_enabled("cuda")
        if key not in self.recordings:
            self.recordings[key] = self._record(x)
        given, graph, recorded = self.recordings[key]
        given.copy_(x)
        graph.replay()
        return recorded

    def _record(self, x: Tensor) -> tuple[Tensor, torch.cuda.CUDAGraph, Output]:
        given, apart = x.clone(), torch.cuda.Stream(x.device)
        apart.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(apart):  # libraries set themselves up in the first calls, which can't be recorded
            for _ in range(2):
                self.net(given)
        torch.cuda.current_stream(x.device).wait_stream(apart)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self.net(given)
        return given, graph, output


Frozen = Net | Recorded  # a network that is asked and never trained

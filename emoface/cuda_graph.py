"""A step recorded once on the GPU and replayed, for loops of steps that take longer to launch than to compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def record(step: Callable[..., Tensor], inputs: Sequence[Tensor], *, state: Sequence[Tensor]) -> Callable[..., Tensor]:
    """``step`` as a CUDA graph: all its kernels are launched at once.

    Args:
        step: tensors -> tensor. Its shapes and the places of the tensors that it keeps must never change, and nothing in it may
            depend on values that only the GPU knows.
        inputs: examples of its arguments, on the GPU.
        state: every tensor that it changes in place; recording leaves them as they are.

    Returns:
        a function that does what ``step`` does for arguments like ``inputs``; the next call overwrites its answer.
    """
    inputs = [tensor.clone() for tensor in inputs]
    before = [tensor.clone() for tensor in state]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # first calls set libraries up, which cannot be recorded
        for _ in range(2):
            step(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may go on using the GPU
        output = step(*inputs)
    for tensor, value in zip(state, before):
        tensor.copy_(value)

    def replay(*arguments: Tensor) -> Tensor:
        for own, given in zip(inputs, arguments):
            own.copy_(given)
        graph.replay()
        return output

    return replay

"""A step as one CUDA graph: a small model's hundreds of kernels are launched by one call."""

import torch

WARM_UP = 3  # steps run as usual, on a side stream, before the capture: PyTorch asks for it
LARGE = 5_000_000  # parameters from which on the kernels, not their launches, take the time


class CapturedStep:
    """Wraps a step (x, context) -> tensor: after ``WARM_UP`` calls it is captured, later calls copy x in and replay it.

    The step must not wait for the device, must keep its tensors in place (gradients, optimiser state with
    ``capturable=True``, a learning rate on the device), and x and context must keep their shapes. The warm-up calls are
    real steps. What a call returns is overwritten by the next one.
    """

    def __init__(self, step):
        self.step, self.calls, self.graph = step, 0, None

    def __call__(self, x, context):
        if self.graph is None:
            self.calls += 1
            if self.calls <= WARM_UP:
                return self._aside(x, context)
            self._capture(x, context)
        if x.shape != self.x.shape:
            raise ValueError(f"the step was captured for x of shape {tuple(self.x.shape)}, got {tuple(x.shape)}")
        self.x.copy_(x)
        if context is not None:
            self.context.copy_(context)
        self.graph.replay()
        return self.result

    def _aside(self, x, context):
        side = torch.cuda.Stream(x.device)
        side.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(side):
            result = self.step(x, context)
        torch.cuda.current_stream(x.device).wait_stream(side)
        return result

    def _capture(self, x, context):
        self.x, self.context = x.clone(), None if context is None else context.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(x.device), torch.cuda.graph(graph):
            self.result = self.step(self.x, self.context)
        self.graph = graph


def should_capture(choice, flow, device, compiled, optimizer):
    """Decide whether to capture: ``choice`` is True, False or "auto" (a small flow on a GPU, not compiled).

    >>> should_capture("auto", torch.nn.Linear(1, 1), torch.device("cpu"), False, "adam")
    False
    """
    if choice not in (True, False, "auto"):
        raise ValueError(f'capture is True, False or "auto", got {choice!r}')
    if choice is True and device.type != "cuda":
        raise ValueError(f'capture=True needs a CUDA device, the training runs on {device}: use capture="auto"')
    if choice == "auto":
        small = sum(p.numel() for p in flow.parameters()) < LARGE
        return device.type == "cuda" and small and not compiled and optimizer in ("adam", "adamw")
    return choice

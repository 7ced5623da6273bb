"""Where a value stopped being finite: the batch is run again, and every layer is watched."""

import torch


def find_culprit(flow, x, context=None):
    """Say in a few words where the first NaN or infinity arises when log_prob and its gradient are computed for x.

    >>> from nvpkit.models import nice
    >>> flow = nice(2)
    >>> _ = flow.bijection.layers[1].net.layers[0].weight.data.fill_(torch.inf)
    >>> find_culprit(flow, torch.zeros(3, 2))
    'the parameter bijection.layers.1.net.layers.0.weight is not finite'
    """
    if not _finite(x) or not _finite(context):
        return "the batch itself holds NaN or infinite values"
    for name, parameter in flow.named_parameters():
        if not _finite(parameter):
            return f"the parameter {name} is not finite"
    found, watches = [], []
    for name, module in flow.named_modules():
        if name:
            watches.append(module.register_forward_hook(_watch(name, found)))
    try:
        flow.zero_grad(set_to_none=False)
        with torch.enable_grad():
            loss = -(flow.log_prob(x) if context is None else flow.log_prob(x, context)).mean()
            loss.backward()
    finally:
        for watch in watches:
            watch.remove()
    if found:
        return f"first in {found[0]}"
    if not _finite(loss):
        return "in the base density: every layer's output is finite, but some z lie too far out"
    # The way back goes from the last layer to the first, and NaN travels with it: the last name is where it began.
    bad = [name for name, parameter in flow.named_parameters() if not _finite(parameter.grad)]
    return f"first in the gradient of {bad[-1]}" if bad else "not seen again when the batch was run a second time"


def _watch(name, found):
    # Inner modules end before outer ones, so the first to report is the innermost.
    def look(module, inputs, outputs):
        parts = outputs if isinstance(outputs, tuple | list) else (outputs,)
        if not found and not all(_finite(part) for part in parts):
            found.append(f"{name} ({type(module).__name__})")

    return look


def _finite(value):
    return not isinstance(value, torch.Tensor) or bool(torch.isfinite(value.detach()).all())

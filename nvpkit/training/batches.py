"""Where the batches come from: a tensor gone through in shuffled epochs, a pair (x, context), or fresh samples."""

from contextlib import contextmanager

import torch

from nvpkit.errors import ShapeError
from nvpkit.metrics import draw


def make_batches(data, batch_size, seed, like):
    """Return a function step -> (x, context), on the device of ``like``; context is None where data has none.

    ``data`` is a tensor (N, ...), a pair of them, or anything with ``sample(n)`` that gives x or (x, context). What a
    step sees depends on seed and step alone, so that a resumed run sees what it would have seen.

    >>> batch = make_batches(torch.arange(6.0)[:, None], 3, 0, torch.empty(0))
    >>> sorted(torch.cat([batch(0)[0], batch(1)[0]]).flatten().tolist())
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    if not is_given(data):
        return lambda step: _moved(draw(data, batch_size), like)
    x, context = as_pair(data)
    x, context = x.to(like.device), None if context is None else context.to(like.device)
    size, orders = min(batch_size, len(x)), {}

    def order(epoch):
        if epoch not in orders:
            orders.pop(epoch - 2, None)
            shuffle = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
            orders[epoch] = torch.randperm(len(x), generator=shuffle).to(like.device)
        return orders[epoch]

    def batch(step):
        first, last = divmod(step * size, len(x)), divmod((step + 1) * size - 1, len(x))
        if first[0] == last[0]:
            chosen = order(first[0])[first[1] : last[1] + 1]
        else:
            chosen = torch.cat([order(first[0])[first[1] :], order(last[0])[: last[1] + 1]])
        return x.index_select(0, chosen), None if context is None else context.index_select(0, chosen)

    return batch


def first_examples(data, n, seed, like):
    """Return (x, context) of the first n examples of ``data``, or of n samples drawn with ``seed``.

    n None means all examples that are given, or 4096 samples.

    >>> first_examples(torch.zeros(9, 2), 4, 0, torch.empty(0))[0].shape
    torch.Size([4, 2])
    """
    if is_given(data):
        x, context = as_pair(data)
        return _moved((x[:n], None if context is None else context[:n]), like, keep_dtype=True)
    with seeded(seed, torch.device("cpu")):
        return _moved(draw(data, 4096 if n is None else n), like)


def is_given(data):
    """Say whether ``data`` is a tensor or a pair of tensors, not something that samples.

    >>> is_given(torch.zeros(2, 2)), is_given((torch.zeros(2, 2), torch.zeros(2, 1)))
    (True, True)
    """
    return isinstance(data, torch.Tensor | tuple | list)


def as_pair(data):
    """Return (x, context) of a tensor (context None) or of a pair of tensors with as many rows each.

    >>> as_pair(torch.zeros(3, 2))[1] is None
    True
    """
    if isinstance(data, torch.Tensor):
        return data, None
    if len(data) != 2 or not all(isinstance(part, torch.Tensor) for part in data):
        kinds = ", ".join(type(part).__name__ for part in data)
        raise TypeError(f"data is a tensor, a pair of tensors (x, context) or has sample(n); got a sequence of {kinds}")
    x, context = data
    if x.ndim == 0 or context.ndim == 0 or len(x) != len(context):
        raise ShapeError(f"x and context need as many rows, got shapes {tuple(x.shape)} and {tuple(context.shape)}")
    return x, context


def _moved(batch, like, keep_dtype=False):
    """Move x or (x, context) to the device of ``like``; floats drawn by a toy take its dtype as well."""
    parts = batch if isinstance(batch, tuple | list) else (batch, None)
    x, context = (
        part if part is None else part.to(like.device) if keep_dtype or not part.is_floating_point() else part.to(like)
        for part in parts
    )
    return x, context


@contextmanager
def seeded(seed, device):
    """Seed the generators of the CPU and of ``device`` for a while; afterwards they are as they were.

    >>> with seeded(3, torch.device("cpu")):
    ...     one = torch.randn(1)
    >>> with seeded(3, torch.device("cpu")):
    ...     bool(torch.randn(1) == one)
    True
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield

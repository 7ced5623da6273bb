"""A chain that does not put vectors together between couplings only to take them apart again."""

import torch

from nvpkit.bijections.base import Chain
from nvpkit.bijections.coupling import Coupling
from nvpkit.nets import has_hooks


class CouplingChain(Chain):
    """The same map as ``Chain``, faster where couplings that share a cut follow one another.

    Two couplings share a cut when they keep the same entries, or one keeps what the other moves: alternating halves do.
    Between them the two parts of a vector stay apart, and the log-scales of all of them are summed once at the end: a
    tenth of a training step in two dimensions. A layer that someone hung a hook on is called by itself, save under
    ``torch.compile``.

    >>> import torch
    >>> from nvpkit.bijections import AffineCoupling, half_mask
    >>> layers = [AffineCoupling(half_mask(2, i % 2), torch.nn.Linear(1, 2)) for i in range(4)]
    >>> x = torch.randn(5, 2)
    >>> bool(torch.isclose(CouplingChain(layers)(x)[0], Chain(layers)(x)[0]).all())
    True
    """

    def forward(self, x, context=None):
        return self._run(x, context, self.layers, inverse=False)

    def inverse(self, z, context=None):
        return self._run(z, context, reversed(self.layers), inverse=True)

    def _run(self, x, context, layers, inverse):
        log_det, log_scales, parts, before = None, [], None, None
        look = not torch.compiler.is_compiling()  # a compiled flow would look for hooks again at every call
        for layer in layers:
            alone = not isinstance(layer, Coupling) or layer.cut is None or (look and has_hooks(layer))
            if parts is not None and (alone or layer.cut != before.cut):
                x, parts = before.together(parts), None
            if alone:
                x, step = layer.inverse(x, context) if inverse else layer(x, context)
                log_det = step if log_det is None else log_det + step
                continue
            parts, s = layer.move(layer.apart(x) if parts is None else parts, context, inverse)
            before = layer
            if s is not None:
                log_scales.append(s if s.ndim == 2 else s.flatten(1))
        if parts is not None:
            x = before.together(parts)
        if log_scales:
            total = torch.cat(log_scales, 1).sum(1)
            total = -total if inverse else total
            log_det = total if log_det is None else log_det + total
        return x, x.new_zeros(len(x)) if log_det is None else log_det

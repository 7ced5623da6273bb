"""One step on one batch. It never waits for the device, so that a GPU can run ahead or replay it as a graph."""

import torch

from nvpkit.training.soap import Soap

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "soap": Soap}


def make_optimizer(choice, vectors, lr, layout=()):
    """Return the optimiser of that name (Adam fused, betas .9 and .99), or what ``choice(vectors, lr)`` makes.

    ``layout`` is that of ``FlatParameters``; only "soap" looks at it.

    >>> make_optimizer("adam", [torch.nn.Parameter(torch.zeros(3))], 0.1).defaults["fused"]
    True
    """
    if callable(choice):
        return choice(vectors, lr)
    if choice == "soap":
        return Soap(vectors, lr, layout)
    if vectors[0].is_cuda:
        # A learning rate on the device can change without a new capture.
        lr = torch.tensor(lr, device=vectors[0].device)
    fused = vectors[0].device.type in ("cpu", "cuda")
    return OPTIMIZERS[choice](vectors, lr=lr, betas=(0.9, 0.99), fused=fused, capturable=vectors[0].is_cuda)


def set_lr(optimizer, lr):
    """Set the learning rate, in place where it lives on the device.

    >>> optimizer = make_optimizer("adam", [torch.nn.Parameter(torch.zeros(3))], 0.1)
    >>> set_lr(optimizer, 0.5)
    >>> optimizer.param_groups[0]["lr"]
    0.5
    """
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


class Step:
    """Gradient of the mean NLL, clipping, update; returns the tensor (loss, gradient norm before clipping).

    Once a loss or a gradient was not finite, ``stopped`` is 1 and a fused optimiser leaves the weights alone: they stay
    those that met the bad batch, however late that is noticed.
    """

    def __init__(self, log_prob, flat, optimizer, clip):
        self.log_prob, self.flat, self.optimizer, self.clip = log_prob, flat, optimizer, clip
        self.stopped = torch.zeros((), device=flat.vectors[0].device)
        if optimizer.defaults.get("fused"):
            optimizer.found_inf = self.stopped

    def __call__(self, x, context):
        self.flat.zero_grad()
        loss = -(self.log_prob(x) if context is None else self.log_prob(x, context)).mean()
        loss.backward()
        with torch.no_grad():
            norm = self.flat.norm()
            self.stopped.logical_or_(~torch.isfinite(loss + norm))
            if self.clip is not None:
                scale = (self.clip / (norm + 1e-6)).clamp(max=1.0)
                for vector in self.flat.vectors:
                    vector.grad.mul_(scale)
            self.optimizer.step()
            return torch.stack([loss.detach(), norm.to(loss)])

"""All parameters as one vector: a step costs a handful of operations, not a handful for each tensor."""

import torch

ALIGNMENT = 64  # elements: every parameter starts where kernels want a tensor to start


class FlatParameters:
    """The trainable parameters of a module, and their gradients, as views of one vector for each dtype.

    ``vectors`` are what an optimiser is given, ``layout`` says where in each of them the parameters lie: (start, shape)
    in turn. ``release()`` gives every parameter its own memory again.

    >>> layer = torch.nn.Linear(2, 1)
    >>> flat = FlatParameters(layer)
    >>> layer(torch.ones(1, 2)).sum().backward()
    >>> flat.norm()
    tensor(1.7321)
    >>> flat.release()
    """

    def __init__(self, module):
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.vectors, self.layout = [], []
        for dtype in dict.fromkeys(p.dtype for p in self.parameters):
            members = [p for p in self.parameters if p.dtype == dtype]
            starts, size = [], 0
            for parameter in members:
                starts.append(size)
                size += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
            vector = torch.zeros(size, dtype=dtype, device=members[0].device)
            gradient = torch.zeros_like(vector)
            for parameter, start in zip(members, starts):
                here = slice(start, start + parameter.numel())
                vector[here] = parameter.detach().flatten()
                parameter.data = vector[here].view(parameter.shape)
                parameter.grad = gradient[here].view(parameter.shape)
            self.layout.append([(start, tuple(parameter.shape)) for parameter, start in zip(members, starts)])
            self.vectors.append(torch.nn.Parameter(vector))
            self.vectors[-1].grad = gradient

    def zero_grad(self):
        """Set every gradient to zero, in place: a captured step needs the same memory each time."""
        for vector in self.vectors:
            vector.grad.zero_()

    def norm(self):
        """Return the Euclidean norm of the whole gradient."""
        norms = [torch.linalg.vector_norm(vector.grad) for vector in self.vectors]
        return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack([n.to(norms[0]) for n in norms]))

    def release(self):
        """Give every parameter its own memory, and drop the gradients."""
        for parameter in self.parameters:
            parameter.data = parameter.data.clone()
            parameter.grad = None

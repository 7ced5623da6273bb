"""SOAP (Vyas et al. 2024): Adam in the eigenbasis of Shampoo's preconditioner, for nets of small matrices."""

import torch

LARGEST = 256  # rows or columns beyond which a side keeps its own basis: eigenvectors cost the cube of it


class Soap(torch.optim.Optimizer):
    """Adam's update in the basis where the gradient's covariances L = E[G G^T] and R = E[G^T G] are diagonal.

    ``vectors`` are flat parameters whose gradients keep their memory, ``layout`` says for each of them which
    parameters lie where: a list of (start, shape). A matrix and the bias behind it count as one matrix; equal ones are
    turned together, in one batched product. What is no matrix gets plain Adam. The bases follow by one step of
    orthogonal iteration every ``every`` steps.

    >>> weight = torch.nn.Parameter(torch.ones(6))
    >>> optimizer = Soap([weight], 0.1, [[(0, (2, 3))]])
    >>> weight.grad = torch.arange(6.0)
    >>> optimizer.step()
    >>> bool((weight.grad * (weight - 1)).sum() < 0)  # downhill
    True
    """

    def __init__(self, vectors, lr, layout, betas=(0.95, 0.95), decay=0.95, every=25, eps=1e-8):
        # "fused" is what the training asks for when it wants bad steps to be left out: see found_inf.
        super().__init__(vectors, {"lr": lr, "betas": betas, "decay": decay, "every": every, "eps": eps, "fused": True})
        self.kinds = [_evenly_spaced(_alike(entries)) for entries in layout]
        self.found_inf = None

    @torch.no_grad()
    def step(self, closure=None):
        if self.found_inf is not None and bool(self.found_inf):
            return
        group = self.param_groups[0]
        for vector, kinds in zip(group["params"], self.kinds):
            state = self.state[vector]
            state["step"] = state.get("step", 0) + 1
            for name, (places, is_matrix, rows, columns) in kinds.items():
                gradient = torch.cat(_views(vector.grad, places, rows, columns), 2)
                update = self._update(state.setdefault(name, {}), gradient, is_matrix, state["step"], group)
                update.mul_(-float(group["lr"]))
                views = _views(vector, places, rows, columns)
                for view, part in zip(views, update.split([view.shape[2] for view in views], 2)):
                    view.add_(part)

    def _update(self, state, gradient, is_matrix, step, group):
        """Return the direction (n, rows, columns) for n matrices alike."""
        beta1, beta2 = group["betas"]
        if not state:
            state["first"], state["second"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            for side, size in (("left", gradient.shape[1]), ("right", gradient.shape[2])):
                if is_matrix and 1 < size <= LARGEST:
                    state[side] = gradient.new_zeros(len(gradient), size, size)
                    state[side + "_basis"] = torch.eye(size).to(gradient).repeat(len(gradient), 1, 1)
        self._turn(state, gradient, step, group)
        turned = _to_basis(state, gradient)
        state["first"].lerp_(turned, 1 - beta1)
        state["second"].lerp_(turned.square_(), 1 - beta2)
        scale = (state["second"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
        # After a turn the second moments are those of other directions for a while: no step may be many times lr.
        return _from_basis(state, (state["first"] / (1 - beta1**step)).div_(scale).clamp_(-2, 2))

    def _turn(self, state, gradient, step, group):
        """Let covariances and bases follow the gradient; the first moments are kept in the bases."""
        sides = [side for side in ("left", "right") if side in state]
        if step <= 50 or step % 2 == 0:  # covariances change slowly: every second gradient is enough
            for side in sides:
                product = gradient @ gradient.mT if side == "left" else gradient.mT @ gradient
                state[side].lerp_(product, 1 - group["decay"])
        exact = step in (1, 5, 20)
        if exact or step % group["every"] == 0:
            first = _from_basis(state, state["first"])
            for side in sides:
                basis = state[side + "_basis"]
                state[side + "_basis"] = (
                    torch.linalg.eigh(state[side])[1] if exact else torch.linalg.qr(state[side] @ basis)[0]
                )
            state["first"] = _to_basis(state, first)


def _alike(layout):
    """Return {name: (starts of the matrices, starts of their biases or None, rows, columns)}: what has one shape."""
    kinds, i = {}, 0
    while i < len(layout):
        start, shape = layout[i]
        bias, name = None, " x ".join(map(str, shape))
        if len(shape) == 2 and i + 1 < len(layout) and tuple(layout[i + 1][1]) == tuple(shape[:1]):
            i, name = i + 1, f"{name} and bias"
            bias = layout[i][0]
        rows, columns = shape if len(shape) == 2 else (torch.Size(shape).numel(), 1)
        kinds.setdefault((name, len(shape) == 2, rows, columns), []).append((start, bias))
        i += 1
    return kinds


def _views(vector, places, rows, columns):
    """Return views of the matrices (n, rows, columns) and, where there are any, of their biases (n, rows, 1)."""
    starts = [start for start, _ in places]
    gap = starts[1] - starts[0] if len(starts) > 1 else 1
    views = [vector.as_strided((len(starts), rows, columns), (gap, columns, 1), starts[0])]
    if places[0][1] is not None:
        views.append(vector.as_strided((len(starts), rows, 1), (gap, 1, 1), places[0][1]))
    return views


def _evenly_spaced(kinds):
    """Split what does not lie at equal distances, so that all matrices of one entry are one view."""
    result = {}
    for (name, is_matrix, rows, columns), places in kinds.items():
        starts = torch.tensor([start for start, _ in places])
        gaps = set(starts.diff().tolist())
        for i, part in enumerate([places] if len(gaps) < 2 else [[place] for place in places]):
            result[f"{name}, {i}"] = (part, is_matrix, rows, columns)
    return result


def _to_basis(state, matrices):
    """Write matrices in the present bases; a side without one stays as it is."""
    if "left" in state:
        matrices = state["left_basis"].mT @ matrices
    return matrices @ state["right_basis"] if "right" in state else matrices.clone()


def _from_basis(state, matrices):
    if "left" in state:
        matrices = state["left_basis"] @ matrices
    return matrices @ state["right_basis"].mT if "right" in state else matrices

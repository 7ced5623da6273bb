class CouplingStack(nn.Module):
    def __init__(self, dim, n_layers, hidden, split="half"):
        super().__init__()
        self.layers = nn.ModuleList(map(lambda i: self._layer(dim, hidden, split, n_layers - i), range(n_layers)))

    @staticmethod
    def _layer(dim, hidden, split, i):
        mask = (half_mask if split == "half" else alternating_mask)(dim, i % 2)
        width = [dim, hidden, hidden, dim]
        parts = []
        for before, after in zip(width[:-1], width[1:]):
            parts += [nn.Linear(before, after), nn.SiLU()]
        return GivenCoupling(mask, nn.Sequential(*parts[:-1]))

    def forward(self, x):
        return self._through(x, self.layers, "forward")

    def inverse(self, z):
        return self._through(z, reversed(self.layers), "inverse")

    @staticmethod
    def _through(value, layers, method):
        total = torch.zeros(value.shape[:1], dtype=value.dtype, device=value.device)
        for layer in layers:
            value, log_det = getattr(layer, method)(value)
            total = total + log_det
        return (value, total)

class WhereCoupling(nn.Module):
    def __init__(self, mask, hidden):
        super().__init__()
        dim = len(mask)
        self.register_buffer("mask", mask)
        self.net = nn.Sequential(
            nn.Linear(dim, hidden), nn.LayerNorm(hidden), nn.ELU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, dim)
        )

    def shift(self, x):
        shift = self.net(torch.where(self.mask, x, torch.zeros_like(x)))
        return torch.where(self.mask, torch.zeros_like(x), shift)

    def forward(self, x):
        return x + self.shift(x), 0 * x[:, 0]

    def inverse(self, z):
        return z - self.shift(z), 0 * z[:, 0]


class CouplingStack(nn.Module):
    def __init__(self, dim, n_layers, hidden, split="half"):
        super().__init__()
        mask = torch.arange(dim) < dim // 2 if split == "half" else torch.arange(dim) % 2 == 1
        self.layers = nn.ModuleList([WhereCoupling(mask if i % 2 else ~mask, hidden) for i in range(n_layers)])

    def forward(self, x):
        total = 0
        for layer in self.layers:
            x, log_det = layer.forward(x)
            total = total + log_det
        return x, total

    def inverse(self, z):
        total = 0
        for layer in reversed(self.layers):
            z, log_det = layer.inverse(z)
            total = total + log_det
        return z, total

class HalfCoupling(nn.Module):
    def __init__(self, order, n_kept, hidden):
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())
        self.sizes = [n_kept, len(order) - n_kept]
        self.net = nn.Sequential(
            nn.Linear(n_kept, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, self.sizes[1])
        )

    def forward(self, x):
        kept, others = x[:, self.order].split(self.sizes, 1)
        return torch.cat([kept, others + self.net(kept)], 1)[:, self.back], x.new_zeros(len(x))

    def inverse(self, z):
        kept, others = z[:, self.order].split(self.sizes, 1)
        return torch.cat([kept, others - self.net(kept)], 1)[:, self.back], z.new_zeros(len(z))


class CouplingStack(nn.Module):
    def __init__(self, dim, n_layers, hidden, split="half"):
        super().__init__()
        numbers = torch.arange(dim)
        if split == "half":
            first, second = numbers[: dim // 2], numbers[dim // 2 :]
        else:
            first, second = numbers[::2], numbers[1::2]
        self.layers = nn.ModuleList()
        for i in range(n_layers):
            kept, others = (second, first) if i % 2 == 0 else (first, second)
            self.layers.append(HalfCoupling(torch.cat([kept, others]), len(kept), hidden))

    def forward(self, x):
        log_dets = []
        for layer in self.layers:
            x, log_det = layer(x)
            log_dets.append(log_det)
        return x, torch.stack(log_dets).sum(0)

    def inverse(self, z):
        log_dets = []
        for layer in list(self.layers)[::-1]:
            z, log_det = layer.inverse(z)
            log_dets.append(log_det)
        return z, torch.stack(log_dets).sum(0)

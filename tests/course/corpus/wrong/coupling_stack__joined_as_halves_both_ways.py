# expect: Halves and even/odd are mixed up
class CouplingStack(nn.Module):
    def __init__(self, dim, n_layers, hidden, split="half"):
        super().__init__()
        self.even_odd = split == "even_odd"
        masks = [half_mask(dim, parity) for parity in (0, 1)]
        self.layers = nn.ModuleList(
            GivenCoupling(masks[i % 2], nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim)))
            for i in range(n_layers)
        )
        order = torch.arange(dim)
        self.register_buffer("order", torch.cat([order[::2], order[1::2]]) if self.even_odd else order)

    def forward(self, x):
        x = x[:, self.order]
        for layer in self.layers:
            x, _ = layer(x)
        return x, x.new_zeros(len(x))

    def inverse(self, z):
        for layer in reversed(self.layers):
            z, _ = layer.inverse(z)
        return z[:, self.order.argsort()], z.new_zeros(len(z))

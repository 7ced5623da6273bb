class CouplingStack(nn.Module):
    def __init__(self, dim, n_layers, hidden, split="half"):
        super().__init__()
        self.layers = nn.ModuleList()
        parity = 1
        for _ in range(n_layers):
            mask = half_mask(dim, parity) if split == "half" else alternating_mask(dim, parity)
            net = nn.Sequential(nn.Linear(dim, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, dim, bias=False))
            self.layers.append(GivenCoupling(mask, net))
            parity = 1 - parity

    def forward(self, x):
        total = torch.zeros(len(x), dtype=torch.float64)
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det.double()
        return x, total.to(x.dtype)

    def inverse(self, z):
        total = torch.zeros(len(z), dtype=torch.float64)
        for layer in self.layers[::-1]:
            z, log_det = layer.inverse(z)
            total = total + log_det.double()
        return z, total.to(z.dtype)

class EinsumNet(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.inner = nn.Parameter(torch.randn(hidden, dim) / dim**0.5)
        self.offset = nn.Parameter(torch.randn(hidden))
        self.outer = nn.Parameter(torch.randn(dim, hidden) / hidden**0.5)

    def forward(self, x):
        return torch.einsum("dh,bh->bd", self.outer, torch.tanh(torch.einsum("hd,bd->bh", self.inner, x) + self.offset))


class CouplingStack(nn.Module):
    def __init__(self, dim, n_layers, hidden, split="half"):
        super().__init__()
        masks = [(half_mask if split == "half" else alternating_mask)(dim, parity) for parity in (0, 1)]
        self.layers = nn.ModuleList([GivenCoupling(masks[i % 2], EinsumNet(dim, hidden)) for i in range(n_layers)])

    def forward(self, x):
        log_det = torch.einsum("bd->b", torch.zeros_like(x))
        for layer in self.layers:
            x, one = layer(x)
            log_det = log_det + one
        return x, log_det

    def inverse(self, z):
        log_det = torch.einsum("bd->b", torch.zeros_like(z))
        for layer in reversed(self.layers):
            z, one = layer.inverse(z)
            log_det = log_det + one
        return z, log_det

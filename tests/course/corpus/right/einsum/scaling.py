class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return torch.einsum("bd,d->bd", x, self.s.exp()), torch.einsum("bd,d->b", torch.ones_like(x), self.s)

    def inverse(self, z):
        return torch.einsum("bd,d->bd", z, (-self.s).exp()), -torch.einsum("bd,d->b", torch.ones_like(z), self.s)

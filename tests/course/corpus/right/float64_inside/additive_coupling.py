class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask.double())
        self.net = net

    def _shift(self, x):
        kept = (self.mask * x.double()).to(x.dtype)
        return (1 - self.mask) * self.net(kept).double()

    def forward(self, x):
        z = x.double() + self._shift(x)
        return z.to(x.dtype), torch.zeros(len(x), dtype=torch.float64).to(x)

    def inverse(self, z):
        x = z.double() - self._shift(z)
        return x.to(z.dtype), torch.zeros(len(z), dtype=torch.float64).to(z)

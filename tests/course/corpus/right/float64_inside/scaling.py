class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        s = self.s.double()
        return (x.double() * s.exp()).to(x.dtype), s.sum().to(x.dtype).expand(len(x))

    def inverse(self, z):
        s = self.s.double()
        return (z.double() / s.exp()).to(z.dtype), (-s.sum()).to(z.dtype).expand(len(z))

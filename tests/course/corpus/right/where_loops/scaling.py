class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.s = torch.nn.parameter.Parameter(torch.zeros((dim,)), requires_grad=True)

    def forward(self, x):
        z = torch.stack([self.s.exp() * row for row in x])
        return z, torch.ones(x.size(0), dtype=x.dtype) * sum(self.s[i] for i in range(self.dim))

    def inverse(self, z):
        x = torch.stack([row / self.s.exp() for row in z])
        return x, torch.ones(z.size(0), dtype=z.dtype) * -sum(self.s[i] for i in range(self.dim))

# expect: the log is missing
class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return torch.exp(self.s) * x, self.s.exp().sum().expand(len(x))

    def inverse(self, z):
        return torch.exp(-self.s) * z, -self.s.exp().sum().expand(len(z))

# expect: changed in place
class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        x.mul_(self.s.detach().exp())
        return x * torch.exp(self.s - self.s.detach()), self.s.sum().expand(len(x))

    def inverse(self, z):
        return torch.exp(-self.s) * z, -self.s.sum().expand(len(z))

# expect: no tensor named `s`
class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return torch.exp(self.log_scale) * x, self.log_scale.sum().expand(len(x))

    def inverse(self, z):
        return torch.exp(-self.log_scale) * z, -self.log_scale.sum().expand(len(z))

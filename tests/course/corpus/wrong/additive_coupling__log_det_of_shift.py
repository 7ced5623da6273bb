# expect: stands on its diagonal
class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        self.net = net

    def forward(self, x):
        z = x + (1 - self.mask) * self.net(self.mask * x)
        return z, (z - x).sum(1)

    def inverse(self, z):
        x = z - (1 - self.mask) * self.net(self.mask * z)
        return x, (x - z).sum(1)

# expect: replaces the changed entries
class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        self.net = net

    def forward(self, x):
        z = self.mask * x + (1 - self.mask) * self.net(self.mask * x)
        return z, x.new_zeros(len(x))

    def inverse(self, z):
        x = self.mask * z - (1 - self.mask) * self.net(self.mask * z)
        return x, z.new_zeros(len(z))

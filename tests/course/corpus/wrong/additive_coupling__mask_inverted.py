# expect: the mask the wrong way round
class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        self.register_buffer("moving", 1 - mask)
        self.net = net

    def forward(self, x):
        z = x + self.mask * self.net(self.moving * x)
        return z, x.new_zeros(len(x))

    def inverse(self, z):
        x = z - self.mask * self.net(self.moving * z)
        return x, z.new_zeros(len(z))

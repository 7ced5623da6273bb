# expect: net is not registered
class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        self.nets = [net]

    def forward(self, x):
        z = x + (1 - self.mask) * self.nets[0].to(self.mask.dtype)(self.mask * x)
        return z, x.new_zeros(len(x))

    def inverse(self, z):
        x = z - (1 - self.mask) * self.nets[0].to(self.mask.dtype)(self.mask * z)
        return x, z.new_zeros(len(z))

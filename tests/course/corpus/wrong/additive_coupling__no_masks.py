# expect: neither the net's input nor its output is masked
class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        self.net = net

    def forward(self, x):
        z = x + self.net(x)
        return z, x.new_zeros(len(x))

    def inverse(self, z):
        x = z - self.net(z)
        return x, z.new_zeros(len(z))

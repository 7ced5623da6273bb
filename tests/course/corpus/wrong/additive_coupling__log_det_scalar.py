# expect: one number for the whole batch
class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        self.net = net

    def forward(self, x):
        z = x + (1 - self.mask) * self.net(self.mask * x)
        return z, torch.zeros(()).to(x)

    def inverse(self, z):
        x = z - (1 - self.mask) * self.net(self.mask * z)
        return x, torch.zeros(()).to(z)

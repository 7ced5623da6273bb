class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        self.net = net

    def shift(self, x):
        return (1 - self.mask) * self.net(self.mask * x)

    def forward(self, x):
        return x + self.shift(x), torch.zeros(x.shape[0], dtype=x.dtype, device=x.device)

    def inverse(self, z):
        return z - self.shift(z), torch.zeros(z.shape[0], dtype=z.dtype, device=z.device)

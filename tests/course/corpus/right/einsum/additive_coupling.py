class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        self.register_buffer("keep", torch.diag(mask))
        self.register_buffer("move", torch.diag(1 - mask))
        self.net = net

    def forward(self, x):
        shift = self.net(torch.einsum("bd,de->be", x, self.keep))
        return x + torch.einsum("bd,de->be", shift, self.move), torch.einsum("bd->b", torch.zeros_like(x))

    def inverse(self, z):
        shift = self.net(torch.einsum("bd,de->be", z, self.keep))
        return z - torch.einsum("bd,de->be", shift, self.move), torch.einsum("bd->b", torch.zeros_like(z))

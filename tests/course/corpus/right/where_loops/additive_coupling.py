class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask.bool())
        self.net = net

    def forward(self, x):
        rows = []
        for row in x:
            shift = self.net(torch.where(self.mask, row, 0.0))
            rows.append(torch.where(self.mask, row, row + shift))
        return torch.stack(rows), torch.tensor([0.0 for _ in x], dtype=x.dtype)

    def inverse(self, z):
        rows = []
        for row in z:
            shift = self.net(torch.where(self.mask, row, 0.0))
            rows.append(torch.where(self.mask, row, row - shift))
        return torch.stack(rows), torch.tensor([0.0 for _ in z], dtype=z.dtype)

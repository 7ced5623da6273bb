class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("mask", mask)
        order = torch.cat([torch.nonzero(mask).flatten(), torch.nonzero(mask == 0).flatten()])
        self.register_buffer("order", order)
        self.register_buffer("back", torch.argsort(order))
        self.n_kept = int(mask.sum())
        self.net = net

    def _apply_shift(self, x, sign):
        dim = x.shape[1]
        kept, others = torch.split(x[:, self.order], [self.n_kept, dim - self.n_kept], dim=1)
        seen = torch.cat([kept, torch.zeros_like(others)], dim=1)[:, self.back]
        shift = self.net(seen)[:, self.order][:, self.n_kept :]
        return torch.cat([kept, others + sign * shift], dim=1)[:, self.back], x.new_zeros(x.shape[0])

    def forward(self, x):
        return self._apply_shift(x, 1)

    def inverse(self, z):
        return self._apply_shift(z, -1)

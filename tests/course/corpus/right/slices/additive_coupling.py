class AdditiveCoupling(nn.Module):
    def __init__(self, mask, net):
        super().__init__()
        self.register_buffer("kept_mask", mask.clone())
        self.moving = [i for i, value in enumerate(mask.tolist()) if value == 0]
        self.net = net

    def _seen(self, x):
        seen = x.clone()
        seen[:, self.moving] = 0
        return seen

    def forward(self, x):
        z = x.clone()
        z[:, self.moving] += self.net(self._seen(x))[:, self.moving]
        return z, torch.zeros_like(x[:, 0])

    def inverse(self, z):
        x = z.clone()
        x[:, self.moving] -= self.net(self._seen(z))[:, self.moving]
        return x, torch.zeros_like(z[:, 0])

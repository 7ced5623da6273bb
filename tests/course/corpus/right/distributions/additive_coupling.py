class AdditiveCoupling(nn.Module):
    # The shift as a torch transform with a log-det of its own.
    def __init__(self, mask, net):
        super().__init__()
        self.net = net
        self.register_buffer("mask", mask)

    def _transform(self, x):
        shift = (1 - self.mask) * self.net(x * self.mask)
        return torch.distributions.AffineTransform(shift, 1.0, event_dim=1)

    def forward(self, x):
        transform = self._transform(x)
        z = transform(x)
        return z, transform.log_abs_det_jacobian(x, z)

    def inverse(self, z):
        transform = self._transform(z)
        x = transform.inv(z)
        return x, -transform.log_abs_det_jacobian(x, z)

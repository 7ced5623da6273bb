class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(dim))

    def _transform(self):
        return torch.distributions.AffineTransform(torch.zeros_like(self.s), self.s.exp(), event_dim=1)

    def forward(self, x):
        transform = self._transform()
        z = transform(x)
        return z, transform.log_abs_det_jacobian(x, z)

    def inverse(self, z):
        transform = self._transform().inv
        x = transform(z)
        return x, transform.log_abs_det_jacobian(z, x)

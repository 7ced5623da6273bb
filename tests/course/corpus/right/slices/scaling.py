class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        z = torch.empty_like(x)
        for i in range(x.shape[1]):
            z[:, i] = x[:, i] * self.s[i].exp()
        return z, self.s.sum().repeat(x.shape[0])

    def inverse(self, z):
        x = torch.empty_like(z)
        for i in range(z.shape[1]):
            x[:, i] = z[:, i] * (-self.s[i]).exp()
        return x, (-self.s).sum().repeat(z.shape[0])

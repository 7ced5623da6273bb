# expect: Halves and even/odd are mixed up
class Coupling(nn.Module):
    def __init__(self, dim, hidden, split, parity):
        super().__init__()
        self.split, self.parity, self.n = split, parity, (dim + 1) // 2
        sizes = (self.n, dim - self.n) if parity == 0 else (dim - self.n, self.n)
        self.net = nn.Sequential(nn.Linear(sizes[0], hidden), nn.ReLU(), nn.Linear(hidden, sizes[1]))

    def apart(self, x):
        if self.split == "half":
            return x[:, : self.n], x[:, self.n :]
        return x[:, ::2], x[:, 1::2]

    def move(self, x, sign):
        a, b = self.apart(x)
        if self.parity == 0:
            b = b + sign * self.net(a)
        else:
            a = a + sign * self.net(b)
        return torch.cat([a, b], 1), x.new_zeros(len(x))

    def forward(self, x):
        return self.move(x, 1)

    def inverse(self, z):
        return self.move(z, -1)


class CouplingStack(nn.Module):
    def __init__(self, dim, n_layers, hidden, split="half"):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(dim, hidden, split, i % 2) for i in range(n_layers))

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return x, x.new_zeros(len(x))

    def inverse(self, z):
        for layer in reversed(self.layers):
            z, _ = layer.inverse(z)
        return z, z.new_zeros(len(z))

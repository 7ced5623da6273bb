class SliceCoupling(nn.Module):
    def __init__(self, kept, moving, n_kept, n_moving, hidden):
        super().__init__()
        self.kept, self.moving = kept, moving
        self.inner = nn.Linear(n_kept, hidden)
        self.outer = nn.Linear(hidden, n_moving)

    def shift(self, x):
        return self.outer(F.gelu(self.inner(x[:, self.kept])))

    def forward(self, x):
        z = x.clone()
        z[:, self.moving] = x[:, self.moving] + self.shift(x)
        return z, torch.zeros_like(x[:, 0])

    def inverse(self, z):
        x = z.clone()
        x[:, self.moving] = z[:, self.moving] - self.shift(z)
        return x, torch.zeros_like(z[:, 0])


class CouplingStack(nn.Module):
    def __init__(self, dim, n_layers, hidden, split="half"):
        super().__init__()
        if split == "half":
            a, b = slice(0, (dim + 1) // 2), slice((dim + 1) // 2, dim)
        elif split == "even_odd":
            a, b = slice(0, dim, 2), slice(1, dim, 2)
        else:
            raise ValueError(split)
        n_a = (dim + 1) // 2
        layers = []
        for _ in range(n_layers):
            layers.append(SliceCoupling(a, b, n_a, dim - n_a, hidden))
            a, b, n_a = b, a, dim - n_a
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return x, torch.zeros_like(x[:, 0])

    def inverse(self, z):
        for i in range(len(self.layers) - 1, -1, -1):
            z = self.layers[i].inverse(z)[0]
        return z, torch.zeros_like(z[:, 0])

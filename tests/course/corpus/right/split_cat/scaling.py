class Scaling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_parameter("s", nn.Parameter(torch.zeros(dim)))

    def forward(self, x):
        columns = [torch.exp(s) * column for s, column in zip(self.s, x.unbind(1))]
        return torch.stack(columns, dim=1), torch.stack([self.s.sum()] * x.shape[0])

    def inverse(self, z):
        columns = [column / torch.exp(s) for s, column in zip(self.s, z.unbind(1))]
        return torch.stack(columns, dim=1), torch.stack([-self.s.sum()] * z.shape[0])

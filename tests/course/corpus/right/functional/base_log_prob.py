def logistic_log_prob(z):
    return torch.sum(z - 2 * F.softplus(z), dim=-1)


def gaussian_log_prob(z):
    return torch.func.vmap(lambda row: -0.5 * torch.dot(row, row) - row.numel() / 2 * math.log(2 * math.pi))(z)

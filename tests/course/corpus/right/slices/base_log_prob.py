def logistic_log_prob(z):
    size = z.abs()
    return (-size - 2 * torch.log1p(torch.exp(-size))).sum(-1)


def gaussian_log_prob(z):
    dim = z.shape[-1]
    return -0.5 * torch.sum(z * z, -1) - 0.5 * dim * math.log(2 * math.pi)

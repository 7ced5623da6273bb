# expect: gradient is NaN
# points: 3
def logistic_log_prob(z):
    return torch.where(z.abs() < 30, -z - 2 * torch.log(1 + torch.exp(-z)), -z.abs()).sum(1)


def gaussian_log_prob(z):
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)

# expect: never take the logarithm of a density
# points: 3
def logistic_log_prob(z):
    return -(F.softplus(z) + F.softplus(-z)).sum(1)


def gaussian_log_prob(z):
    return torch.log(torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)).sum(1)

# expect: One number came for the whole batch
def logistic_log_prob(z):
    return -(F.softplus(z) + F.softplus(-z)).sum()


def gaussian_log_prob(z):
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum()

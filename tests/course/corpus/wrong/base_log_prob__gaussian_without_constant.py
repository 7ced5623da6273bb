# expect: the constant is missing
# points: 3
def logistic_log_prob(z):
    return -(F.softplus(z) + F.softplus(-z)).sum(1)


def gaussian_log_prob(z):
    return -0.5 * z.pow(2).sum(1)

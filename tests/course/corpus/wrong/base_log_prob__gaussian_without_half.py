# expect: the 1/2 before z^2 is missing
# points: 3
def logistic_log_prob(z):
    return -(F.softplus(z) + F.softplus(-z)).sum(1)


def gaussian_log_prob(z):
    return -(z**2 + 0.5 * math.log(2 * math.pi)).sum(1)

# expect: a log-density falls
# points: 3
def logistic_log_prob(z):
    return (F.softplus(z) + F.softplus(-z)).sum(1)


def gaussian_log_prob(z):
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)

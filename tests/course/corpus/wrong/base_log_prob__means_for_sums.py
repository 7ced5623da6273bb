# expect: the mean over the dimensions
def logistic_log_prob(z):
    return -(F.softplus(z) + F.softplus(-z)).mean(1)


def gaussian_log_prob(z):
    return -0.5 * (z**2 + math.log(2 * math.pi)).mean(1)

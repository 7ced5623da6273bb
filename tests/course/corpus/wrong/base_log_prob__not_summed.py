# expect: one axis too many
def logistic_log_prob(z):
    return -(F.softplus(z) + F.softplus(-z))


def gaussian_log_prob(z):
    return -0.5 * (z**2 + math.log(2 * math.pi))

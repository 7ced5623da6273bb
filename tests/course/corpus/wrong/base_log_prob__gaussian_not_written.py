# expect: Not written yet
# points: 3
def logistic_log_prob(z):
    return -(F.softplus(z) + F.softplus(-z)).sum(1)


def gaussian_log_prob(z):
    raise NotImplementedError()

# expect: it overflows
# points: 3
def logistic_log_prob(z):
    return (-z - 2 * torch.log(1 + torch.exp(-z))).sum(1)


def gaussian_log_prob(z):
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)

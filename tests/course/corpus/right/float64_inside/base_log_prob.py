def logistic_log_prob(z):
    wide = z.double()
    return -(F.softplus(wide) + F.softplus(-wide)).sum(1).to(z.dtype)


def gaussian_log_prob(z):
    wide = z.double()
    return (-0.5 * wide.square().sum(1) - wide.shape[1] * 0.5 * math.log(2 * math.pi)).to(z.dtype)

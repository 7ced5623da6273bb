# expect: evaluated at x
def negative_log_likelihood(flow, base_log_prob, x):
    z, log_det = flow(x)
    return -(base_log_prob(x) + log_det).mean()

# expect: none of the mistakes
def negative_log_likelihood(flow, base_log_prob, x):
    z, log_det = flow(x)
    return -((-0.5 * (z**2 + math.log(2 * math.pi)).sum(1)) + log_det).mean()

# expect: flow.inverse in place of flow
def negative_log_likelihood(flow, base_log_prob, x):
    z, log_det = flow.inverse(x)
    return -(base_log_prob(z) + log_det).mean()

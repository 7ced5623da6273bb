# expect: the log-det is missing
def negative_log_likelihood(flow, base_log_prob, x):
    z, log_det = flow(x)
    return -base_log_prob(z).mean()

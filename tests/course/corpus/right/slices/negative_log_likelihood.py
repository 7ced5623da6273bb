def negative_log_likelihood(flow, base_log_prob, x):
    result = flow(x)
    log_likelihood = base_log_prob(result[0]) + result[1]
    return -log_likelihood.sum() / x.shape[0]

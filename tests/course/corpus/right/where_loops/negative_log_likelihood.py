def negative_log_likelihood(flow, base_log_prob, x):
    z, log_det = flow(x)
    each = base_log_prob(z) + log_det
    total = torch.zeros((), dtype=x.dtype)
    for value in each:
        total = total - value
    return total / len(each)

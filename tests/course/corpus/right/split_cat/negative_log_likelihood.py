def negative_log_likelihood(flow, base_log_prob, x):
    terms = []
    for row in x.split(1):
        z, log_det = flow(row)
        terms.append(base_log_prob(z) + log_det)
    return -torch.cat(terms).mean()

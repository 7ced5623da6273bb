def negative_log_likelihood(flow, base_log_prob, x):
    z, log_det = flow(x)
    return -torch.einsum("b->", base_log_prob(z) + log_det) / len(x)

def negative_log_likelihood(flow, base_log_prob, x):
    z, log_det = torch.func.functional_call(flow, dict(flow.named_parameters()), (x,))
    return torch.mean(torch.neg(torch.add(base_log_prob(z), log_det)))

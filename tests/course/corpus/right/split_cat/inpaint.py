def inpaint(flow, base_log_prob, x, known, steps):
    known = known.expand(x.shape) if known.dim() == 1 else known
    result = x.clone()
    for i in range(steps):
        pixels = result.detach().clone().requires_grad_(True)
        z, log_det = flow(pixels)
        slope = torch.autograd.grad((base_log_prob(z) + log_det).sum(), [pixels])[0]
        noisy = pixels.detach() + 10.0 / (100.0 + i) * (slope + torch.randn_like(slope))
        result[~known] = noisy.clamp(0.0, 1.0)[~known]
    return result

def inpaint(flow, base_log_prob, x, known, steps):
    def log_likelihood(pixels):
        z, log_det = flow(pixels)
        return (base_log_prob(z) + log_det).sum()

    slope = torch.func.grad(log_likelihood)
    guess = x
    for i in range(steps):
        step = 10 / (100 + i) * (slope(guess) + torch.randn(x.shape, dtype=x.dtype))
        guess = torch.where(known, x, torch.clamp(guess + step, 0, 1)).detach()
    return guess

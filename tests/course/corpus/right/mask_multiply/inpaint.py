def inpaint(flow, base_log_prob, x, known, steps):
    free = (~known).to(x.dtype)
    guess = x.clone()
    for i in range(steps):
        guess.requires_grad_(True)
        z, log_det = flow(guess)
        slope = torch.autograd.grad((base_log_prob(z) + log_det).sum(), guess)[0]
        moved = (guess.detach() + 10 / (100 + i) * slope * free).clamp(0, 1)
        guess = torch.where(known, x, moved)
    return guess.detach()

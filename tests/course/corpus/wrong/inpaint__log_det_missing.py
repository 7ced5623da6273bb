# expect: the log-det alone has a slope
def inpaint(flow, base_log_prob, x, known, steps):
    image = x.clone()
    for i in range(steps):
        pixels = image.detach().requires_grad_()
        z, log_det = flow(pixels)
        (slope,) = torch.autograd.grad((base_log_prob(z) + 0 * log_det).sum(), pixels)
        moved = (pixels.detach() + 10 / (100 + i) * slope).clamp(0, 1)
        image = torch.where(known, x, moved)
    return image

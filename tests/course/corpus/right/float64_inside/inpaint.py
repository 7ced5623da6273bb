def inpaint(flow, base_log_prob, x, known, steps):
    image = x.double()
    for i in range(steps):
        narrow = image.to(x.dtype).detach().requires_grad_()
        z, log_det = flow(narrow)
        (slope,) = torch.autograd.grad((base_log_prob(z) + log_det).double().sum(), narrow)
        image = torch.where(known, image, (image + 10 / (100 + i) * slope.double()).clamp(0, 1))
    return torch.where(known, x, image.to(x.dtype))

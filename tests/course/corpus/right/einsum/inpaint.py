def inpaint(flow, base_log_prob, x, known, steps):
    image = x.detach().clone().requires_grad_()
    optimiser = torch.optim.SGD([image], lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        z, log_det = flow(image)
        loss = -torch.einsum("b->", base_log_prob(z) + log_det)
        image.grad = torch.autograd.grad(loss, image)[0] * (~known)
        optimiser.step()
        image.data.clamp_(0, 1)
    return torch.where(known, x, image.detach())

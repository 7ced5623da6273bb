def inpaint(flow, base_log_prob, x, known, steps):
    known = known.expand_as(x)
    rows, columns = torch.nonzero(~known, as_tuple=True)
    free = x[rows, columns].clone().requires_grad_()
    optimiser = torch.optim.Adam([free], lr=0.03)
    for _ in range(steps):
        image = x.clone()
        image[rows, columns] = free
        z, log_det = flow(image)
        loss = -(base_log_prob(z) + log_det).sum()
        (free.grad,) = torch.autograd.grad(loss, [free])
        optimiser.step()
        with torch.no_grad():
            free.clamp_(0, 1)
    image = x.clone()
    image[rows, columns] = free.detach()
    return image

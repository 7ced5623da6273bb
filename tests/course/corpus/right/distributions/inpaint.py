def inpaint(flow, base_log_prob, x, known, steps):
    known = known.expand_as(x)
    free = x[~known].detach().clone().requires_grad_(True)

    def image():
        full = x.detach().clone()
        full[~known] = free
        return full

    def closure():
        free.grad = None
        z, log_det = flow(image())
        loss = -(base_log_prob(z) + log_det).sum()
        loss.backward()
        return loss

    before = [p.grad for p in flow.parameters()]
    for _ in range(steps):
        # A new one for each step: clipping makes what it remembers of the curvature worthless.
        torch.optim.LBFGS([free], lr=0.5, max_iter=4).step(closure)
        free.data.clamp_(0, 1)
    for parameter, grad in zip(flow.parameters(), before):
        parameter.grad = grad
    return image().detach()

# expect: The flow's weights changed
def inpaint(flow, base_log_prob, x, known, steps):
    image = x.clone().requires_grad_()
    optimiser = torch.optim.Adam([image, *flow.parameters()], lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        z, log_det = flow(image)
        (-(base_log_prob(z) + log_det).sum()).backward()
        optimiser.step()
        with torch.no_grad():
            image.copy_(torch.where(known, x, image.clamp(0, 1)))
    return image.detach()

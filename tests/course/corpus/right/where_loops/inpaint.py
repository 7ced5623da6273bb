def inpaint(flow, base_log_prob, x, known, steps):
    rows = []
    for b in range(x.shape[0]):
        given = known if known.ndim == 1 else known[b]
        row = x[b]
        for i in range(steps):
            pixels = row.detach().clone().requires_grad_(True)
            z, log_det = flow(pixels[None])
            value = (base_log_prob(z) + log_det)[0]
            (slope,) = torch.autograd.grad(value, pixels)
            row = torch.where(given, x[b], torch.clip(pixels.detach() + 10 / (100 + i) * slope, 0, 1))
        rows.append(row)
    return torch.stack(rows)

def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    parameters = list(flow.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    losses = []
    for step in range(1, steps + 1):
        weights = torch.ones(data.shape[0])
        x = data[torch.multinomial(weights, batch_size, replacement=True)]
        z, log_det = flow(x)
        loss = -(base_log_prob(z) + log_det).mean()
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, m, v, slope in zip(parameters, first, second, slopes):
                m.mul_(0.9).add_(slope, alpha=0.1)
                v.mul_(0.999).addcmul_(slope, slope, value=0.001)
                p -= lr * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        losses.append(loss.item())
    return losses

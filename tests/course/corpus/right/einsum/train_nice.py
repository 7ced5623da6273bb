def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    optimiser = torch.optim.Adam(flow.parameters(), lr=lr, foreach=True)
    losses = []

    def closure():
        optimiser.zero_grad()
        rows = (torch.rand(batch_size) * len(data)).long()
        z, log_det = flow(data.index_select(0, rows))
        loss = -torch.einsum("b->", base_log_prob(z) + log_det) / batch_size
        loss.backward()
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        optimiser.step(closure)
    return losses

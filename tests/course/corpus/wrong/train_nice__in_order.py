# expect: in the order of the data
def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    optimiser = torch.optim.Adam(flow.parameters(), lr=lr)
    losses = []
    for i in range(steps):
        x = data[(torch.arange(batch_size) + i * batch_size) % len(data)]
        z, log_det = flow(x)
        loss = -(base_log_prob(z) + log_det).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

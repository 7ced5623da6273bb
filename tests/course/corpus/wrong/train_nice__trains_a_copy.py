# expect: is a copy trained
def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    import copy

    flow = copy.deepcopy(flow)
    optimiser = torch.optim.Adam(flow.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        x = data[torch.randint(len(data), (batch_size,))]
        z, log_det = flow(x)
        loss = -(base_log_prob(z) + log_det).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

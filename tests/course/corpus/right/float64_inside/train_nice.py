def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    import random

    optimiser = torch.optim.Adam(flow.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        rows = random.choices(range(len(data)), k=batch_size)
        z, log_det = flow(data[rows])
        loss = -(base_log_prob(z).double() + log_det.double()).mean()
        for parameter in flow.parameters():
            parameter.grad = None
        loss.backward()
        optimiser.step()
        losses += [loss.item()]
    return losses

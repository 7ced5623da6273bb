def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    def batches():
        while True:
            order = torch.randperm(len(data))
            for start in range(0, len(data) - batch_size + 1, batch_size):
                yield data[order[start : start + batch_size]]

    optimiser = torch.optim.Adam(flow.parameters(), lr=lr)
    losses = []
    for _, x in zip(range(steps), batches()):
        z, log_det = flow(x)
        loss = -(base_log_prob(z) + log_det).mean()
        loss.backward()
        optimiser.step()
        flow.zero_grad()
        losses.append(loss.detach().cpu().numpy().item())
    return losses

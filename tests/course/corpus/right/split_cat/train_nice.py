def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data), batch_size=batch_size, shuffle=True)
    optimiser = torch.optim.Adam(flow.parameters(), lr)
    losses = []
    while len(losses) < steps:
        for (x,) in loader:
            if len(losses) == steps:
                break
            optimiser.zero_grad(set_to_none=False)
            z, log_det = flow.forward(x)
            loss = -base_log_prob(z).mean() - log_det.mean()
            loss.backward()
            optimiser.step()
            losses.append(float(loss))
    return losses

def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    flow.train()
    optimiser = torch.optim.Adam(list(flow.parameters()), lr=lr, betas=(0.9, 0.99), eps=1e-4)
    losses = [0.0] * steps
    for step in range(steps):
        rows = torch.randperm(data.size(0))[:batch_size]
        optimiser.zero_grad()
        z, log_det = flow(data[rows])
        loss = torch.mean(-base_log_prob(z) - log_det)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 100.0)
        optimiser.step()
        losses[step] = loss.detach().item()
    return losses

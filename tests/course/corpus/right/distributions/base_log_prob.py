def logistic_log_prob(z):
    # log of sigmoid(z) (1 - sigmoid(z)): two log-probabilities of a Bernoulli variable with logit z.
    coin = torch.distributions.Bernoulli(logits=z, validate_args=False)
    heads, tails = torch.ones_like(z), torch.zeros_like(z)
    return (coin.log_prob(heads) + coin.log_prob(tails)).sum(-1)


def gaussian_log_prob(z):
    zero, one = torch.zeros_like(z[0]), torch.ones_like(z[0])
    return torch.distributions.Independent(torch.distributions.Normal(zero, one), 1).log_prob(z)

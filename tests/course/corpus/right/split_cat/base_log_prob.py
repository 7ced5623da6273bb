def logistic_log_prob(z):
    total = 0
    for column in z.split(1, dim=1):
        total = total + F.logsigmoid(column) + F.logsigmoid(-column)
    return torch.cat([total], dim=1)[:, 0]


def gaussian_log_prob(z):
    terms = [-column.pow(2) / 2 - math.log(math.sqrt(2 * math.pi)) for column in z.unbind(1)]
    return torch.stack(terms).sum(0)

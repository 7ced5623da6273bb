# expect: Not written yet
def train_nice(flow, base_log_prob, data, steps, batch_size, lr):
    raise NotImplementedError()

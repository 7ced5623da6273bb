# expect: Not written yet
def inpaint(flow, base_log_prob, x, known, steps):
    raise NotImplementedError()

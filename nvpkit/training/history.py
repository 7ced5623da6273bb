"""What a training recorded."""

import math
from dataclasses import dataclass, field


@dataclass
class History:
    """What a training recorded; every loss is a mean negative log-likelihood in nats.

    >>> History(validation=[(50, 2.5), (100, 2.0)]).best_validation
    2.0
    """

    loss: list = field(default_factory=list)  # one for each step, on that step's batch
    validation: list = field(default_factory=list)  # (steps done, loss on the validation data)
    best_step: int | None = None  # the step whose weights the flow holds, where there was validation
    seconds: float = 0.0
    ended: str = ""  # "steps", "patience" or "time"; "" when an error or the keyboard ended it
    captured: bool = False  # whether the steps ran as one CUDA graph

    @property
    def best_validation(self):
        """The lowest validation loss, None without validation."""
        return min((value for _, value in self.validation if not math.isnan(value)), default=None)

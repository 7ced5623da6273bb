"""One module for each task: inputs(seed), run(student, inputs) and judge(inputs, outputs)."""

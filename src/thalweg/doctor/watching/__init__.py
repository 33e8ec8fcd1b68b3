"""How a training is watched without changing it: hooks, taps on the loss, probes in a budget."""

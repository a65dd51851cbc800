"""The neuron's scan as compiled loops, in place of torch operations where one can be had."""

"""The way of training data to the networks: loader processes, or a data set on the device."""

"""Moving pixels: frames, the one resampling, and lags between scan directions."""

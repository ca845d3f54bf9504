"""Files of a training: checkpoints, metrics, lock and model card."""

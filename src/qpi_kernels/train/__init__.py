"""Training of the networks: kernel VAE, latent alignment, one-step baseline."""

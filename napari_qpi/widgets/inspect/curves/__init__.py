"""The panels of the Inspect dock that show curves: cuts, profiles, spectra, dispersions."""

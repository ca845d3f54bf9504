"""Krylov solvers and evidence of linear Gaussian models, without physics."""

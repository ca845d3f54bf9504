"""The published comparison of two_step with one_step (arXiv 2506.05325), run again."""

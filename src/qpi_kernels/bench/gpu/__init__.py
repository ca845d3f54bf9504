"""Check of a GPU: every method's kernel beside the CPU's, seconds, launches and memory."""

"""Planning of a map before it is measured: what it will tell, where to scan, which pixels."""

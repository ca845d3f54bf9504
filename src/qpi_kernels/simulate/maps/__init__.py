"""Maps of many defects: where they lie, what a scan adds, what the user marks."""

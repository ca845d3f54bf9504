"""Plans of maps that are not measured yet, from the layers of a topograph."""

"""The marketplace: one folder that is pip index, catalogue, website and mirror at once."""

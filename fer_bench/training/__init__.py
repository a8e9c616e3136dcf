"""One run from a spec to a record."""

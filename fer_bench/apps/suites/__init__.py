"""A suite carried out by an engine: what there is to do, the driver, and the process of one task."""

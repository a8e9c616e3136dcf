"""AffectNet: an index over both releases, a reader and the datamodule."""

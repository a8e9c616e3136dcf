"""FER2013 in the layouts in which it circulates."""

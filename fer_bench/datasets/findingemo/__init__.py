"""FindingEmo: photographs of people in social settings, annotated as a whole."""

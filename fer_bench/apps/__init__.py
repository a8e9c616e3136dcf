"""Programs for people: the annotation web app, the real-time demo."""

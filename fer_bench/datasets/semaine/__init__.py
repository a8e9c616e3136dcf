"""SEMAINE: recorded conversations, rated continuously."""

"""The switch: putting a profile on a phone and knowing what became of it."""

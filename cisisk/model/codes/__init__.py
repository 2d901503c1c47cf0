"""The codes of notices, by subject. :mod:`cisisk.model.messages` has the sentence of each.

A code is stored, so its value never changes; one that is no longer used keeps its sentence.
"""

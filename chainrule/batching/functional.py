"""Batching of chainrule's own functions: what folds the examples into an axis that is there for a batch."""

"""Comparing: find where two traces first diverge, and which divergences follow from no other."""

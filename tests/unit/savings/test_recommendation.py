"""Recommendations: ids that name what they are about, and texts with the numbers in them."""

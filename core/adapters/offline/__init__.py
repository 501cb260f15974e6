"""The offline model: what stands in for a provider's where nobody has a key."""

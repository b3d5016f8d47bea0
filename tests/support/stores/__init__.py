"""Real and small stores and registries for tests."""

"""Signatures: bundles, certificates, transparency logs."""

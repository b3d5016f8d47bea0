"""The operator's metrics, events and notifications."""

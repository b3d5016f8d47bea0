"""What the operator tells: metrics, events and notifications."""

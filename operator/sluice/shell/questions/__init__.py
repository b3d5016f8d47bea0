"""What is asked of Prometheus, and what the answers cost."""

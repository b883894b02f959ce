"""What a worker says of itself: counters for Prometheus, a log without personal data, and traces where they are configured."""

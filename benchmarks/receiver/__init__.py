"""What the receiver takes and how fast it answers, beside a handler that keeps nothing."""

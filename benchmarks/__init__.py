"""What we measure ourselves against, and how: each folder is one benchmark with its command and its results."""

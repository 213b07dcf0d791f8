"""Accuracy, leave-one-out on frozen splits: own systems from the bundle, peers as a user runs them, one referee."""

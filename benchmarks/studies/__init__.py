"""Studies of single questions: cold items, cold users, what each input earns, conditional probabilities."""

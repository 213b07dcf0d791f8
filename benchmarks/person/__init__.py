"""What the person in charge is promised, measured."""

"""Peers as a user would run them, in an environment of their own: these files import nothing of ours."""

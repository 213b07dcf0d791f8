"""The commands of the terminal that ask something of serving; each imports what it needs when it is called."""

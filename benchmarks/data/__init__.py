"""What every stage that handles data costs, beside other tools for the same work."""

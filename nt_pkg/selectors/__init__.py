"""Ways to choose traces: one module per selector, each with one constant SELECTOR."""

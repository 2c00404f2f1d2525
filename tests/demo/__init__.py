"""Of the demo: its engine, its shop, its story."""

"""Other registries' APIs, spoken over our actions. A facade translates; it decides nothing."""

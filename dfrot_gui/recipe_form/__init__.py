"""Forms built from the recipe's own fields."""

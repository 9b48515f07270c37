"""The CSS of a letter: rules, selectors, the cascade, and the resulting style attributes."""

"""CSS of a letter: rules, selectors, the cascade, and the style attributes they become."""

"""The HTML part: parsing as in browsers, inlining of CSS, shapes, and comparison of documents."""

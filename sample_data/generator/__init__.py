"""Makes the sample data: the readers of the gazette, the little shop, its invoices, and the page about them all.

Standard library only, and the same bytes on every machine: chance comes from one seeded generator, of which only
``random()`` is used, because that one is promised to repeat itself in every version of Python.
"""

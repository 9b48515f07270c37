"""RENDER: what each one gets. Pure: a recipient goes in, the bytes of one letter come out."""

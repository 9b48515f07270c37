"""A bulk e-mail sender: loaded, rendered, sent, checkpointed and reported. Nobody lost, nobody twice."""

__version__ = "0.1.0"

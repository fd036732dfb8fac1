"""The commands of ``nncore``, a module each: what they take, and what they do."""

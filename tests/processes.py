"""What tests hand to other processes: these import it by its name, which that of a test module is not."""

from test_checkpoints import digest


def train(model, x, y):
    """The weights after training there, and the model."""
    model.fit(x, y, batch_size=16, verbose=0)
    return digest(model), model

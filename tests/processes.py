"""What tests hand to other processes: these import it by its name, which that of a test module is not."""

import numpy as np

import nncore as nn
from test_checkpoints import digest


def train(model, x, y):
    """The weights after training there, and the model."""
    model.fit(x, y, batch_size=16, verbose=0)
    return digest(model), model


def train_anew():
    """The weights of a training that is the same everywhere, wide enough for several threads."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((512, 128)), rng.integers(0, 3, 512)
    model = nn.Sequential([nn.Input((128,)), nn.Dense(256, activation="relu"), nn.Dropout(0.2), nn.Dense(3)])
    model.compile("adam", "cross_entropy", seed=1)
    model.fit(x, y, batch_size=256, epochs=2, verbose=0)
    return digest(model)


def ask(model, x):
    """Its predictions, as bytes."""
    return model.predict(x).tobytes()

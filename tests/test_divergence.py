"""Training that diverges: the step and the layer are named, nothing changes, on every way to train."""

import numpy as np
import pytest

import nncore as nn

X, Y = np.linspace(-1, 1, 48, dtype=np.float32).reshape(12, 4), np.ones((12, 2), np.float32)
LAYER = "the first layer whose output is not finite is 'second'"


def make(engine, optimizer="sgd"):
    model = nn.Sequential(
        [
            nn.Input((4,)),
            nn.Dense(3, name="first"),
            nn.Dense(3, kernel_initializer=nn.Constant(1e30), name="second"),
            nn.Dropout(0.5),
            nn.Dense(2, kernel_initializer=nn.Constant(1e30), name="third"),
        ]
    )
    model.compile(optimizer, "mse", engine=engine)
    first, bias, *others = model.get_weights()
    model.set_weights([np.full_like(first, 1e10), bias, *others])
    return model


def weights(model):
    return [array.tobytes() for array in model.get_weights()]


WAYS = {
    "fit": lambda model, x, y: model.fit(x, y, batch_size=4, shuffle=False, verbose=0),
    "fit-shuffled": lambda model, x, y: model.fit(x, y, batch_size=4, verbose=0),
    "loader": lambda model, x, y: model.fit(nn.data.DataLoader(x, y, batch_size=4), verbose=0),
    "generator": lambda model, x, y: model.fit([(x[:4], y[:4]), (x[4:], y[4:])], verbose=0),
    "partial_fit": lambda model, x, y: model.partial_fit(x, y),
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
}


@pytest.mark.parametrize("way", WAYS)
def test_step_and_layer_are_named(engine_name, way):
    model = make(engine_name)
    before = weights(model)
    with pytest.raises(FloatingPointError, match=rf"(?s)the loss of batch 0\b.*is (inf|nan).*{LAYER}"):
        WAYS[way](model, X, Y)
    assert weights(model) == before


def test_on_the_short_way_too(engine_name):
    model = make(engine_name)
    good = model.get_weights()
    model.set_weights([np.zeros_like(array) for array in good])
    model.train_on_batch(X, Y)
    model.set_weights(good)
    with pytest.raises(FloatingPointError, match=f"batch 0.*{LAYER}"):
        model.train_on_batch(X, Y)
    assert weights(model) == [array.tobytes() for array in good]


def test_the_failing_step_is_the_one_that_is_examined(engine_name):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2, name="only")])
    model.compile(nn.SGD(1e-3), "mse", engine=engine_name)
    x = np.tile(X, (3, 1))
    x[21] = 3e38
    with pytest.raises(FloatingPointError, match=r"batch 5.*first layer whose output is not finite is 'only'") as caught:
        model.fit(x, np.tile(Y, (3, 1)), batch_size=4, shuffle=False, verbose=0)
    assert any("in epoch 1" in note for note in caught.value.__notes__)


def test_weights_samples_and_the_loss_as_origins(engine_name):
    def message(x, y, kernel=1.0):
        model = nn.Sequential([nn.Input((4,)), nn.Dense(2, kernel_initializer=nn.Constant(1.0), name="only")])
        model.compile("adam", "mse", engine=engine_name)
        model.set_weights([np.full((4, 2), kernel), np.zeros(2)])
        with pytest.raises(FloatingPointError) as caught:
            model.train_on_batch(x, y)
        return str(caught.value)

    assert message(X, Y, np.nan).endswith("is 'only', as its weights are not")
    assert message(np.where(X[3, 1] == X, np.inf, X), Y).endswith("the samples are not finite")
    # Squares are too large for float32, in the native engine's sums in float64 as well.
    assert message(X * 1e37, Y).endswith("the outputs of all layers are finite: the loss of them is not")


@pytest.mark.parametrize("own", [False, True])
def test_several_outputs(engine_name, own):
    class Own(nn.Loss):
        def forward(self, y, t):
            return np.square(y - t).mean(1)

        def backward(self, y, t):
            return 2 * (y - t) / y.shape[1]

    x = nn.Input((4,))
    h = nn.Dense(3, name="shared")(x)
    a, b = nn.Dense(2, name="a")(h), nn.Dense(2, kernel_initializer=nn.Constant(3e38), name="b")(h)
    model = nn.Model(x, {"a": a, "b": b})
    model.compile("adam", Own() if own else "mse", engine=engine_name)
    before = weights(model)
    with pytest.raises(FloatingPointError, match=r"b_loss of samples 0 to 5 is not finite; the first layer.* is 'b'"):
        model.fit(X, {"a": Y, "b": Y}, batch_size=6, shuffle=False, verbose=0)
    assert weights(model) == before


def test_a_users_layer_that_fails_then_hides_nothing(engine_name):
    class Once(nn.Layer):
        calls = 0

        def forward(self, x):
            Once.calls += 1
            if Once.calls > 1:
                raise RuntimeError("a second time")
            return x * np.float32(np.inf)

        def backward(self, x, y, dy):
            return dy

    Once.calls = 0
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2), Once()])
    model.compile("adam", "mse", engine=engine_name)
    with pytest.raises(FloatingPointError, match="the loss of batch 0"):
        model.train_on_batch(X, Y)

"""Bad arguments that once did harm or gave an error that said nothing; found by the property tests of public entries."""

import re

import numpy as np
import pytest

import nncore as nn

X = np.ones((4, 3), np.float32)
MASKED = np.ma.masked_array(X, X > 0)
CHOICES = np.array(["mean", "sum"])
HUGE = 10**400


def model():
    made = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    made.compile("adam", "cross_entropy")
    return made


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "x: expected values, got a masked array", lambda: model().predict(MASKED)),
        (ValueError, "x: expected values, got a masked array", lambda: model().fit(MASKED, [0, 1, 0, 1], verbose=0)),
        (ValueError, "x: expected values, got a masked array", lambda: nn.ops.relu(MASKED)),
        (ValueError, "x: expected values, got a masked array", lambda: _after_a_step(MASKED)),
        (TypeError, "path: expected a path, got 3 of type int", lambda: model().save(3)),
        (ValueError, "path: expected a path of text that is not empty", lambda: model().save("")),
        (ValueError, "path: expected a path of text", lambda: nn.load("a\0b")),
        (TypeError, "filename: expected a path", lambda: nn.callbacks.CSVLogger(3)),
        (TypeError, "weights: expected a list of 2 arrays, got int", lambda: model().set_weights(3)),
        (TypeError, "optimizer: expected one of steps", lambda: model().apply_gradients("adam")),
        (TypeError, "training: expected True or False", lambda: model().forward(X, training=X)),
        (TypeError, "validation_split: expected a number", lambda: model().fit(X, [0, 1, 0, 1], validation_split=X)),
        (
            TypeError,
            "x of validation_data: expected",
            lambda: model().fit(X, [0, 1, 0, 1], validation_data="no", verbose=0),
        ),
        (TypeError, "metrics: expected a list", lambda: model().compile("adam", "mse", metrics=X)),
        (ValueError, "engine: expected one of", lambda: model().compile(engine=["native"])),
        (ValueError, "dtype: expected 'float32'", lambda: model().compile(dtype="nonsense")),
        (ValueError, "reduction: expected", lambda: nn.ops.mse(X, X, CHOICES)),
        (ValueError, "activation: expected one of", lambda: nn.Activation(CHOICES)),
        (ValueError, "average of F1: expected one of", lambda: nn.metrics.F1(average=CHOICES)),
        (ValueError, "per: expected 'step' or 'epoch'", lambda: nn.schedules.Constant(0.1, per=CHOICES)),
        (ValueError, "rule: expected one of", lambda: nn.optimizers.Optimizer("nonsense", {}, 0.1, {})),
        (TypeError, "groups: expected a list", lambda: nn.SGD(0.1, groups=3)),
        (ValueError, "l2 of L2: expected a number that fits", lambda: nn.L2(HUGE)),
        (ValueError, "learning_rate: expected a number that fits", lambda: nn.schedules.Constant(HUGE)),
        (TypeError, "target_shape of Reshape: expected a tuple", lambda: nn.Reshape(3)),
        (TypeError, "depth: expected an integer", lambda: nn.ops.one_hot([0], 2.0)),
        (ValueError, "depth: expected an integer in", lambda: nn.ops.one_hot([0], HUGE)),
        (TypeError, "shape: expected a sequence", lambda: nn.ops.flatten_backward(X, 3)),
        (ValueError, "count: expected an integer in", lambda: nn.ops.add_backward(X, 2**62)),
        (ValueError, "target: expected shape", lambda: nn.ops.nll(np.zeros((2, 3)), 1)),
        (TypeError, "quantile: expected a number", lambda: nn.QuantileLoss(None)),
        (ValueError, "y_pred: expected scores", lambda: _update(nn.metrics.ROCAUC(), [], np.ones((0, 0)))),
        (TypeError, "model: expected a Model, got list", lambda: nn.explain.input_gradients([], X)),
        (TypeError, "model: expected a Model, got str", lambda: nn.io.save("model", "path")),
        (TypeError, "custom_objects: expected a mapping", lambda: nn.load("nowhere", custom_objects=3)),
        (TypeError, "shuffle: expected True or False", lambda: nn.data.DataLoader(X, shuffle=X)),
        (ValueError, "x: expected an array, got a sequence", lambda: nn.data.DataLoader([[1.0], [1.0, 2.0]])),
    ],
)
def test_the_argument_is_named(error, message, call):
    with pytest.raises(error, match=re.escape(message)):
        call()


def _after_a_step(x):
    """The second step takes the short way."""
    made = model()
    made.train_on_batch(X, np.array([0, 1, 0, 1]))
    made.train_on_batch(x, np.array([0, 1, 0, 1]))


def _update(metric, y_true, y_pred):
    metric.update(y_true, y_pred)
    return metric.result()


def test_a_masked_array_without_masked_elements_is_an_array():
    np.testing.assert_array_equal(nn.ops.relu(np.ma.masked_array(X)), X)


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "rrelu"])
def test_many_rows_without_elements_take_no_time(name):
    options = {"training": True} if name == "rrelu" else {"rate": 0.5}
    x = np.ones((2**40, 0))
    assert getattr(nn.ops, name)(x, **options, seed=0, node=0, step=0).shape == x.shape

"""Perceptrons as scikit-learn has them, trained by nncore: change the import and the rest of a program stays as it is.

Needs scikit-learn >= 1.7 (``pip install "nncore[sklearn]"``).

>>> from nncore.sklearn import MLPClassifier
>>> import nncore as nn
>>> x, y = nn.datasets.load_iris()
>>> MLPClassifier(random_state=0, max_iter=400, learning_rate_init=0.01).fit(x, y).score(x, y) > 0.95
True
"""

try:
    import sklearn
except ImportError as error:
    raise ImportError('nncore.sklearn: expected scikit-learn to be installed (pip install "nncore[sklearn]")') from error
if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7):
    raise ImportError(f"nncore.sklearn: expected scikit-learn 1.7 or later, got {sklearn.__version__}")

from nncore.sklearn.classifier import MLPClassifier
from nncore.sklearn.perceptron import Perceptron
from nncore.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "Perceptron"]

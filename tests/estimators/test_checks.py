"""scikit-learn's own checks of estimators: all pass, but for what its Perceptron cannot either."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from nncore.sklearn import MLPClassifier, MLPRegressor, Perceptron

ALIKE = "scikit-learn's Perceptron fails it too: a sample of weight 2 moves a plane once and far, two samples perhaps once"
WEIGHTS = {f"check_sample_weight_equivalence_on_{kind}_data": ALIKE for kind in ("dense", "sparse")}


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::sklearn.exceptions.DataConversionWarning"
)
@parametrize_with_checks(
    [MLPClassifier(), MLPRegressor(), Perceptron()],
    expected_failed_checks=lambda estimator: WEIGHTS if isinstance(estimator, Perceptron) else {},
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)

"""The estimators among scikit-learn's tools, in joblib's workers of every kind, and in files."""

import os
import subprocess
import sys
from threading import Barrier, Thread

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nncore as nn
from nncore.sklearn import MLPClassifier, MLPRegressor
from nncore.sklearn.threads import thread_limit, threads_for

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 150, "random_state": 0, "learning_rate_init": 0.03}


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_a_grid_search_in_workers(backend):
    """Equal results to a search in this process; large enough for several threads in each fit."""
    x, y = load_digits(return_X_y=True)
    MLPClassifier(**{**QUICK, "max_iter": 1}).fit(x, y)  # the threads of this process have started
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**{**QUICK, "max_iter": 3, "hidden_layer_sizes": (100,)}))
    grid = {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__dropout": [0.0, 0.2]}
    alone = GridSearchCV(pipeline, grid, cv=2).fit(x, y)
    with joblib.parallel_backend(backend):
        search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(x, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert search.best_score_ > 0.5


def test_workers_share_the_cores():
    """loky sets OMP_NUM_THREADS for its workers, and nncore counts by it."""
    with joblib.parallel_backend("loky", inner_max_num_threads=1):
        counts = joblib.Parallel(n_jobs=2)(joblib.delayed(nn.get_num_threads)() for _ in range(4))
    assert counts == [1] * 4


def test_fits_at_once_share_the_threads():
    before = nn.get_num_threads()
    try:
        nn.set_num_threads(4)
        seen, together = [], Barrier(2)

        def work():
            with thread_limit(None):
                together.wait()
                seen.append(nn.get_num_threads())
                together.wait()

        threads = [Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [2, 2]
        assert nn.get_num_threads() == 4
        with thread_limit(3):
            assert nn.get_num_threads() == 3
        assert nn.get_num_threads() == 4
    finally:
        nn.set_num_threads(before)


@pytest.mark.parametrize(("threads", "work", "expected"), [(None, 1e5, 1), (None, 1e8, None), (3, 1e5, 3), (3, 1e8, 3)])
def test_little_work_is_done_by_one_thread(threads, work, expected):
    assert threads_for(threads, work) == expected


def test_cross_validation():
    assert cross_val_score(MLPClassifier(**QUICK), X, Y, cv=3).mean() > 0.9


def test_calibration():
    calibrated = CalibratedClassifierCV(MLPClassifier(**QUICK), cv=3).fit(X, Y)
    assert calibrated.score(X, Y) > 0.9
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)


def test_permutation_importance():
    model = MLPClassifier(**QUICK).fit(X, Y)
    importances = permutation_importance(model, X, Y, n_repeats=3, random_state=0).importances_mean
    assert importances.argmax() in (2, 3)  # petals tell irises apart
    assert importances[2:].min() > importances[:2].max()


def test_frames_have_names():
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = MLPClassifier(**QUICK).fit(frame, Y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(model.predict(frame), MLPClassifier(**QUICK).fit(X, Y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c", "d"]])


def test_several_outputs_of_classes():
    y = np.column_stack([Y, Y == 1])
    assert (MultiOutputClassifier(MLPClassifier(**QUICK)).fit(X, y).predict(X) == y).mean() > 0.9


def test_a_file_is_read_by_another_process(tmp_path):
    model = MLPRegressor(**QUICK).fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    np.save(tmp_path / "x.npy", X)
    code = (
        "import sys, joblib, numpy as np\n"
        f"x = np.load({str(tmp_path / 'x.npy')!r})\n"
        f"np.save({str(tmp_path / 'y.npy')!r}, joblib.load({str(tmp_path / 'model.joblib')!r}).predict(x))"
    )
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model.predict(X))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.modules['sklearn'] = None", "expected scikit-learn to be installed (pip install"),
        ("import sklearn; sklearn.__version__ = '1.6.1'", "expected scikit-learn 1.7 or later, got 1.6.1"),
    ],
)
def test_scikit_learn_is_needed(code, words):
    lines = f"import sys\n{code}\ntry:\n    import nncore.sklearn\nexcept ImportError as error:\n    print(error)"
    run = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=120)
    assert words in run.stdout

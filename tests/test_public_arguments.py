"""Every public function, with every kind of wrong argument.

Of success and geometry all functions are tried; of the other packages and the face what they offer.

A wrong argument is refused by an `InputError`; never by another error, never by a silent answer,
but where the value has a documented meaning, which `ALLOWED` lists. The functions are found by
introspection, so a new one without an example here fails.
"""

import importlib
import inspect
import pkgutil

import jax
import numpy as np
import pandas as pd
import pytest

import dofbook as dof
import dofbook.geometry
import dofbook.success
from dofbook.errors import InputError
from dofbook.geometry.elliptic_cones import EllipticCone
from dofbook.geometry.gaussian_width import ball
from dofbook.geometry.montecarlo import Estimate
from dofbook.geometry.quadratic import QuadraticWell
from dofbook.success.bisection import Search
from dofbook.success.tables import RunValues
from dofbook.success.thresholds import Threshold

KEY = jax.random.key(0)
ONES = np.ones((6, 2), np.float32)
DATA = dof.Dataset.from_arrays(ONES, [0, 1, 0, 1, 0, 1], ONES, [0, 1, 0, 1, 0, 1])
TASK = dof.Task("mlp", DATA, epochs=1)
D = TASK.network.D
SPACE = dof.RandomAffine().subspace(TASK, 0, 2)
W = np.zeros(D, np.float32)
RUN = {"task": TASK, "seed": 0, "d": 2}
ADAM = dof.training.OptimizerConfig()
SETTINGS = {"batch_size": 4, "checkpoints_per_epoch": 1, "optimizer": ADAM,
            "burn_in_optimizer": ADAM, "extra_burn_in_step": 0}  # fmt: skip
DRAWN = {"key": KEY, "d": 2, "D": 9}
LINE = np.linspace(-1, 1, 5)
WELL = QuadraticWell([1.0, 2.0, 4.0], [1.0, -1.0, 2.0])
VALUES = np.array([[0.9, 0.8], [0.6, 0.4], [0.1, 0.2]])
RUNS = pd.DataFrame({
    "dataset": "digits", "network": "mlp", "burn_in_steps": 0, "D": 900, "step": 5,
    "method": ["full", *["lottery_subspace"] * 4], "d": [900, 4, 4, 8, 8], "seed": [0, 0, 1, 0, 1],
    "best_test_accuracy": [1.0, 0.7, 0.8, 0.9, 0.95],
})  # fmt: skip
CURVE = RUNS.iloc[1:]
COUNTS = {"dims": [16, 32, 64], "successes": [0, 4, 9], "runs": 10, "delta": 0.2}
MATRIX = {"dims": [16, 32, 64], "values": VALUES, "kind": "loss"}
ASKED = {"runs": VALUES, "metric": "train_loss", "level": 0.5, "dims": [16, 32, 64]}
SAMPLED = {"dimension": 3, "key": KEY, "samples": 4}
TABLE = {"table": RUNS, "metric": "test_accuracy"}
MEANS = pd.Series({4: 0.1, 8: 0.3, 16: 0.4})
BY_SEED = pd.Series({(d, seed): d / 32 + seed / 8 for d in (4, 8) for seed in (0, 1)})
BY_SEED = BY_SEED.rename_axis(["d", "seed"])
MONTE_CARLO = {"support": ball(1.0), **SAMPLED}
CALLS = {
    "dofbook.Dataset": {"name": "x", "x_train": ONES, "y_train": DATA.y_train, "x_test": ONES,
                        "y_test": DATA.y_test, "num_classes": 2, "source": "here",
                        "fingerprint": "none", "mean_image": None},
    "dofbook.Dataset.from_arrays": {"x_train": ONES, "y_train": DATA.y_train, "x_test": ONES,
                                    "y_test": DATA.y_test, "name": "x"},
    "dofbook.FullSpace": {"t": 0},
    "dofbook.FullSpace.subspace": {**RUN, "d": D},
    "dofbook.LotterySubspace": {"t": 0, "basis": "centred", "spacing": 5, "trajectory_steps": 9,
                                "extra_first_step": 1},
    "dofbook.LotterySubspace.subspace": RUN,
    "dofbook.LotteryTicket": {"t": 0, "pruning_epochs": 1, "iterations": 1,
                              "retraining": "common", "weight_decay": 0.1},
    "dofbook.LotteryTicket.subspace": RUN,
    "dofbook.RandomAffine": {"t": 0, "directions": "sparse", "directions_seed": 1,
                             "nested": False},
    "dofbook.RandomAffine.subspace": RUN,
    "dofbook.RandomPruning": {"t": 0, "nested": False, "retraining": "common"},
    "dofbook.RandomPruning.subspace": RUN,
    "dofbook.load": {"name": "digits", "data_dir": None},
    "dofbook.octaves": {"largest": 8, "smallest": 1, "factor": 2.0},
    "dofbook.plot_success": {"runs": RUNS, "metric": "test_accuracy", "level": 0.5, "delta": 0.2},
    "landscape.line_hits": {"x": LINE, "y": LINE, "loss": np.ones((5, 5)), "eps": 0.1,
                            "point": (0.0, 0.0), "angles": [0.0, 1.0], "samples": 9},
    "landscape.plane_through": {"origin": [0.0, 0.0], "first": [1.0, 0.0], "second": [0.0, 1.0]},
    "landscape.slice_metrics": {"task": TASK, "network": TASK.network, "x": [0.0], "y": [0.0],
                                "plane": dof.landscape.plane_through(W, W + 1, np.arange(D)),
                                "splits": "test"},
    "networks.Network": {"init": TASK.network.init, "apply": TASK.network.apply, "D": D,
                         "layers": TASK.network.layers, "evaluation_chunk": 9,
                         "gradient_chunk": 9, "name": "x"},
    "networks.build": {"name": "mlp", "num_classes": 2, "pooling": "max"},
    "networks.flatten": {"module": dof.networks.MLP((3,), 2), "example": ONES, "trainable": None,
                         "evaluation_chunk": 9, "gradient_chunk": 9, "name": "x"},
    "networks.paper_network": {"name": "mlp", "input_shape": (2,), "num_classes": 2,
                               "pooling": "max", "dtype": "float32"},
    "subspaces.AffineSubspace": {"offset": W, "directions": SPACE.directions},
    "subspaces.Identity": {"D": 9},
    "subspaces.axis_aligned": {"indices": [0, 2], "D": 9},
    "subspaces.check_dimension": {"d": 2, "D": 9, "name": "d"},
    "subspaces.directions": {"kind": "sparse", **DRAWN},
    "subspaces.fastfood": DRAWN,
    "subspaces.gaussian": DRAWN,
    "subspaces.hadamard": DRAWN,
    "subspaces.sparse": {**DRAWN, "nnz": 3},
    "training.Batching": {"strategy": "batched", "chunk": 2, "precision": "tf32"},
    "training.Objective": {"name": "x", "loss": max, "metrics": [("most", max)]},
    "training.OptimizerConfig": {"name": "adam", "learning_rate": 0.1, "b1": 0.9, "b2": 0.9,
                                 "eps": 0.1, "momentum": 0.5, "bias_correction": "constant",
                                 "schedule": None},
    "training.Task": {"network": "mlp", "data": DATA, "objective": "classification", "epochs": 1,
                      **SETTINGS, "convention": "paper", "config": None},
    "training.TaskConfig": {"dataset": "digits", "network": "mlp", "pooling": "max",
                            "train_size": 20, "test_size": 20, "epochs": 1, **SETTINGS,
                            "objective": "classification", "linearized_at": 1,
                            "solver": "exact"},
    "training.batches_key": {"seed": 0},
    "training.burn_in": {"task": TASK, "w0": W, "key": KEY, "steps": 1},
    "training.evaluate": {"task": TASK, "w": W},
    "training.fit": {"task": TASK, "subspace": SPACE, "key": KEY, "optimizer": None, "epochs": 1,
                     "decay": W, "at_offset": np.zeros(4)},
    "training.make_optimizer": {"optimizer": ADAM},
    "training.make_task": {"config": dof.training.TaskConfig("digits", "mlp"), "data_dir": None},
    "training.start_key": {"seed": 0},
    "training.train": {"task": TASK, "subspace": SPACE, "seed": 0},
    "training.train_runs": {"task": TASK, "build": lambda run: SPACE, "keys": [KEY],
                            "optimizer": None, "batching": None, "at_offset": None},
    "affine.mean_distance": {"dimension": 9, "n": 3, "d": 2, "norm": 1.5},
    "affine.mean_squared_distance": {"dimension": 9, "n": 3, "d": 2, "norm": 1.5},
    "affine.simulate_distances": {"dimension": 4, "n": 1, "d": 1, "key": KEY, "runs": 2,
                                  "start": 1.0},
    "bisection.Search": {"n": 5},
    "bisection.quantile_interval": {"grid": [1, 2, 4, 8], "hits": [1, 2, 2], "delta": 0.5,
                                    "confidence": 0.9},
    "bisection.reach": {"threshold": Threshold(8, 1, 64, 4, 16, 0.9)},
    "bisection.hit_threshold": {"hits": [[5, 7], [6, 3]], "delta": 0.5},
    "bisection.quantile_error": {"sigma": [1.0, 2.0], "runs": 5, "delta": 0.2},
    "bisection.threshold_band": {**MATRIX, "levels": [0.5, 0.7], "delta": 0.2, "confidence": 0.9},
    "compression.compression_table": {**TABLE, "fractions": 0.9, "delta": 0.2,
                                      "value": "best", "interval": "inverted"},
    "compression.nested_best": {"table": RUNS, "methods": ("lottery_subspace",)},
    "cones.ball_angle": {"radius": 1.0, "distance": 2.0},
    "cones.cap_statistical_dimension": {"angle": 1.0, "dimension": 9},
    "cones.cap_width": {"angle": 1.0, "dimension": 9, "caps": 2},
    "cones.circular_cone": {"angle": 1.0},
    "cones.estimate_statistical_dimension": {"projection": jax.numpy.positive, **SAMPLED},
    "cones.orthant": {},
    "cones.subspace": {"basis": [[1.0], [1.0]]},
    "elliptic_cones.EllipticCone": {"tau": [1.0]},
    "elliptic_cones.cone_size": {"cone": EllipticCone([1.0]), "key": KEY, "samples": 3},
    "elliptic_cones.hitting_cone": {"well": WELL, "eps": 0.5},
    "escape.cap_hit_probability": {"dimension": 9, "d": [0, 3], "angle": 1.0, "caps": 2},
    "escape.excluded_dimensions": {"dimension": 9, "width": 1.0, "probability": 0.2,
                                   "bound": "sharp"},
    "escape.gordon_bound": {"dimension": 9, "d": [0, 3], "width": 1.0},
    "escape.sharp_bound": {"dimension": 9, "d": [0, 3], "width": 1.0},
    "escape.simulate_alignment": {"centers": [1.0, 0.0], "key": KEY, "runs": 2},
    "escape.simulate_subspace_margin": {"dimension": 4, "m": 1, "codimension": 3, "key": KEY,
                                        "runs": 2},
    "escape.subspace_hit_probability": {"dimension": 9, "d": [0, 3], "m": 2},
    "thresholds.threshold_dimensions": {**MATRIX, "levels": 0.5, "delta": 0.2,
                                        "present": VALUES > 0, "interval": "inverted",
                                        "confidence": 0.9},
    "gaussian_width.alpha": {"k": [1, 2]},
    "gaussian_width.ball": {"radius": 1.0},
    "gaussian_width.cone_in_ball": {"projection": jax.numpy.positive},
    "gaussian_width.ellipsoid": {"semi_axes": [1.0, 0.0]},
    "gaussian_width.ellipsoid_width": {"semi_axes": [1.0, 0.0]},
    "gaussian_width.estimate_width": MONTE_CARLO,
    "gaussian_width.finite_set": {"points": [[1.0, 0.0]]},
    "gaussian_width.plane_width": {"points": [[1.0, 0.0]]},
    "gaussian_width.project_to_sphere": {"points": [[1.0, 0.0]], "center": [0.0, 0.0]},
    "gaussian_width.spherical_cap": {"angle": 1.0, "centers": [1.0, 0.0]},
    "gaussian_width.squared": {"width": Estimate(1.0, 0.1, 9)},
    "gaussian_width.union": {"supports": ball(1.0)},
    "bisection.hit_dimensions": {**MATRIX, "level": 0.5},
    "thresholds.inverted_interval": {**COUNTS, "confidence": 0.9},
    "thresholds.isotonic_threshold": COUNTS,
    "montecarlo.gaussian_statistics": {"statistic": ball(1.0), **SAMPLED},
    "montecarlo.mean_of": {"values": [1.0, 2.0]},
    "summaries.compare_hits": {"before": CURVE, "after": CURVE, "metric": "test_accuracy",
                               "levels": [0.75]},
    "summaries.half_width": {"values": [1.0, 2.0], "confidence": 0.9},
    "probability.jeffreys_interval": {"successes": [3, 4], "runs": 5, "confidence": 0.9},
    "probability.running_maximum": {"values": VALUES, "kind": "loss"},
    "probability.success_counts": {"values": VALUES, "levels": 0.5, "kind": "loss",
                                   "present": VALUES > 0},
    "probability.success_fraction": {"values": VALUES, "levels": 0.5, "kind": "loss",
                                     "present": VALUES > 0},
    "probability.success_indicator": {"values": VALUES, "levels": 0.5, "kind": "loss"},
    "probability.wilson_interval": {"successes": [3, 4], "runs": 5, "confidence": 0.9},
    "probit.probit_threshold": {**COUNTS, "prior_sd": 1.0},
    "probit.spread_limit": {"d": [16, 64]},
    "quadratic.QuadraticWell": {"eigenvalues": [1.0, 2.0], "w0": [1.0, 1.0]},
    "quadratic.bimodal_spectrum": {"D": 4, "small": 0.1, "large": 1.0, "share": 0.25},
    "quadratic.closed_form": {"well": WELL, "eps": 0.5},
    "quadratic.hitting_dimensions": {"losses": [[3.0, 1.0, 0.0]], "eps": [0.5]},
    "quadratic.isotropic_direction": {"key": KEY, "D": 3, "R": 1.0},
    "quadratic.log_uniform_spectrum": {"D": 4, "low": 0.1, "high": 1.0},
    "quadratic.largest_violation": {"D": [10, 20], "delta": 0.2},
    "quadratic.marchenko_pastur_spectrum": {"D": 4, "ratio": 0.5},
    "quadratic.minimum_losses": {"well": WELL, "key": KEY, "runs": 2},
    "quadratic.minimum_losses_along": {"well": WELL, "directions": np.eye(3)},
    "quadratic.minimum_losses_from": {"eigenvalues": [1.0, 2.0, 4.0], "starts": [[1.0, 1.0, 1.0]],
                                      "key": KEY, "runs": 2},
    "quadratic.paper_angular_dimension": {"well": WELL, "eps": 0.5},
    "quadratic.predicted_success": {"well": WELL, "eps": 0.5, "d": [0, 2]},
    "quadratic.predicted_threshold": {"well": WELL, "eps": 0.5, "delta": 0.2},
    "quadratic.violation": {"well": WELL, "eps": 0.5, "delta": 0.2},
    "quadratic.success_points": {"well": WELL, "times": [0.0, 1.0], "levels": [0.5], "key": KEY,
                                 "runs": 2, "points": 3},
    "random_matrix.expected_minimum_loss": {"well": WELL, "d": [0, 2]},
    "random_matrix.ridge_parameter": {"eigenvalues": [1.0, 2.0, 4.0], "d": [0, 2]},
    "means.best_values": TABLE,
    "means.equal_dimensions": {"values": MEANS, "reference": MEANS},
    "means.mean_best": TABLE,
    "means.paired_gain": {"before": BY_SEED, "after": BY_SEED},
    "means.steepest_rise": {"values": MEANS},
    "means.transition_widths": {"values": BY_SEED},
    "summaries.success_probability": {**ASKED, "confidence": 0.9},
    "summaries.threshold": {**ASKED, "delta": 0.2, "confidence": 0.9},
    "tables.RunValues": {"dims": [1, 2, 4], "seeds": [0, 1], "values": VALUES,
                         "present": VALUES > 0, "kind": "loss"},
    "tables.baseline_accuracy": {**TABLE, "value": "best"},
    "tables.check_table": {**TABLE, "value": "best"},
    "tables.curve_runs": {**TABLE, "value": "best"},
    "tables.curves": {"table": RUNS},
    "tables.run_values": {"table": CURVE, "metric": "test_accuracy", "value": "best"},
    "tables.success_map": {**TABLE, "levels": [0.5], "value": "best", "confidence": 0.9},
    "tables.threshold_table": {**TABLE, "levels": [0.5], "delta": 0.2,
                               "value": "best", "interval": "inverted", "confidence": 0.9},
    "tomography.dimension_from_hits": {"hits": [5, 7], "D": 9},
    "tomography.width_lower_bound": {"d": [3, 5], "D": 9, "p": 0.5},
    "thresholds.Threshold": {"value": 8.0, "d_min": 1.0, "d_max": 64.0, "lower": 4.0,
                             "upper": 16.0, "confidence": 0.9},
    "thresholds.first_threshold": COUNTS,
    "thresholds.phase_boundary": {"values": VALUES, "delta": 0.2, "kind": "loss",
                                  "present": VALUES > 0},
    "thresholds.required_successes": {"runs": [3, 5], "delta": 0.2},
    "thresholds.selected_probability": {"runs": [3, 5], "delta": 0.2},
    "bisection.Search.ask": {"guess": 2},
    "bisection.Search.run": {"succeeds": callable, "guess": 2},
    "bisection.Search.tell": {"point": 2, "success": True},
    "elliptic_cones.EllipticCone.project": {"points": [1.0, 2.0]},
    "quadratic.QuadraticWell.after_gradient_flow": {"time": 1.0},
    "quadratic.QuadraticWell.at_distance": {"R": 1.0},
    "tables.RunValues.complete": {},
    "thresholds.Threshold.interval_text": {},
    "thresholds.Threshold.value_text": {},
}  # fmt: skip
# What the package shares or returns, and nobody outside it calls or makes.
INTERNAL = {
    "checks", "precision", "montecarlo.as_partial", "montecarlo.Estimate",
    "gaussian_width.unit_vectors", "quadratic.climb", "quadratic.ClosedForm", "cones.ConeEstimate",
    "elliptic_cones.ConeSize", "tables.CurveKey", "means.Rise",
    # What a function makes and checks, or holds, and the modules of Flax, which flatten checks.
    "AxisAligned", "Dense", "Directions", "Fastfood", "Hadamard", "Sparse", "Layer",
    "sweep",  # in test_face.py
    "BatchNorm", "Conv", "ConvNet", "LeNet", "MLP", "ResNet20", "ResidualBlock",
}  # fmt: skip
WRONG = {
    "nan": np.nan, "negative": -1, "fraction": 2.5, "word": "word", "None": None,
    "shape": np.full((2, 3, 4), 0.5), "ragged": [[1.0], [1.0, 2.0]], "bool": True,
}  # fmt: skip
DEFAULT_NONE = (
    "mean_image", "trajectory_steps", "directions_seed", "plot_success:level", "trainable",
    "gradient_chunk", "num_classes", "nnz", "epochs", "optimizer", "burn_in_optimizer", "decay",
    "at_offset", "batching", "schedule", "train_size", "test_size", "linearized_at", "Task:config",
    "FullSpace.subspace:d",
)  # fmt: skip
WORDS = ("Dataset:name", "source", "fingerprint", "Network:name", "Objective:name")
# parameter, or function:parameter -> kinds of wrong value that have a documented meaning.
ALLOWED = {
    **dict.fromkeys(["distance", "high", "large", "norm", "R", "radius"], {"fraction"}),
    **dict.fromkeys(["level", "width"], {"negative", "fraction"}),
    **dict.fromkeys(["eps", "k", "sigma"], {"fraction", "shape", "bool"}),
    **dict.fromkeys(["fractions", "p", "semi_axes", "successes"], {"bool"}),
    "cap_width:angle": {"fraction"},
    "spherical_cap:angle": {"fraction"},
    "chunk": {"None"},
    "d_max": {"fraction"},
    "d_min": {"fraction"},
    "hit_threshold:hits": {"shape"},
    "hitting_dimensions:losses": {"shape"},
    "interval": {"None"},
    "levels": {"negative", "fraction", "bool"},
    "method": {"word"},
    "p": {"shape", "bool"},
    "phase_boundary:values": {"shape"},
    "present": {"None"},
    "prior_sd": {"None", "fraction"},
    "semi_axes": {"fraction", "bool"},
    "start": {"fraction", "bool"},
    "success": {"bool"},
    "guess": {"negative"},
    "time": {"fraction"},
    # The number of dimensions need not be whole where nothing is drawn.
    "expected_minimum_loss:d": {"fraction", "shape", "bool"},
    "predicted_success:d": {"fraction", "shape", "bool"},
    "ridge_parameter:d": {"fraction", "shape", "bool"},
    "spread_limit:d": {"fraction", "shape", "bool"},
    # None is the default, or stands for what there is not; names are any words.
    **dict.fromkeys(DEFAULT_NONE, {"None"}),
    **dict.fromkeys(WORDS, {"word"}),
    **dict.fromkeys(["Dataset.from_arrays:name", "flatten:name"], {"word", "None"}),
    **dict.fromkeys(["largest", "smallest", "factor"], {"fraction"}),
    **dict.fromkeys(["learning_rate", "weight_decay"], {"fraction"}),
    **dict.fromkeys(["line_hits:eps", "line_hits:loss"], {"negative", "fraction"}),
    "nested": {"bool"},
    "data_dir": {"None", "word"},  # the digits come with scikit-learn
    "flatten:example": {"shape"},
    "check_dimension:name": set(WRONG),
    # What lies on the grid, or has no interval.
    "Threshold:value": {"fraction", "bool"},
    "Threshold:lower": {"nan", "fraction", "bool"},
    "Threshold:upper": {"nan", "fraction", "bool"},
    "Threshold:confidence": {"None"},
}
OBJECTS = {
    "Search": Search(5),
    "EllipticCone": EllipticCone([1.0]),
    "QuadraticWell": QuadraticWell([1.0, 2.0], [1.0, 1.0]),
    "RunValues": RunValues([1, 2], [0], np.ones((2, 1)), np.ones((2, 1), bool), "loss"),
    "Threshold": Threshold(8, 1, 64, 4, 16, 0.9),
}


def defined_in(module):
    """Find the public functions, classes and, on an example, methods that a module defines."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isroutine(thing) or inspect.isclass(thing):
            yield name, thing
        for method in vars(thing) if name in OBJECTS else ():
            bound = getattr(OBJECTS[name], method)
            if not method.startswith("_") and inspect.ismethod(bound):
                yield f"{name}.{method}", bound


def public():
    """Find what the packages offer, by module, or package, and name."""
    found = {}
    for package in (dofbook.success, dofbook.geometry):
        for file in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{file.name}")
            found |= {f"{file.name}.{name}": thing for name, thing in defined_in(module)}
    for package in (dof.subspaces, dof.landscape, dof.training, dof.networks, dof):
        for name in getattr(package, "__all__", dir(package)):
            thing = getattr(package, name)
            ours = getattr(thing, "__module__", "").startswith("dofbook.")
            ours = ours and (inspect.isroutine(thing) or inspect.isclass(thing)) and name[0] != "_"
            if ours and thing not in found.values():
                found[f"{package.__name__.removeprefix('dofbook.')}.{name}"] = thing
    found["dofbook.Dataset.from_arrays"] = dof.Dataset.from_arrays
    for method in METHODS:
        found[f"dofbook.{type(method).__name__}.subspace"] = method.subspace
    return {name: f for name, f in found.items() if not {name, *name.split(".")} & INTERNAL}


METHODS = (
    dof.FullSpace(), dof.LotterySubspace(spacing=1, trajectory_steps=3), dof.RandomAffine(),
    dof.LotteryTicket(pruning_epochs=1), dof.RandomPruning(),
)  # fmt: skip
PUBLIC = public()


def call(name, arguments):
    if name == "gaussian_width.union":
        return PUBLIC[name](arguments["supports"])
    found = PUBLIC[name](**arguments)
    return list(found) if inspect.isgenerator(found) else found


def test_every_public_function_has_an_example_of_all_its_arguments():
    assert set(PUBLIC) == set(CALLS)
    for name, arguments in CALLS.items():
        parameters = inspect.signature(PUBLIC[name]).parameters.values()
        # Any truth value will do, and what begins with _ is not for people.
        flags = {p.name for p in parameters if p.annotation is bool or p.name[0] == "_"}
        assert {p.name for p in parameters} - flags <= set(arguments), name
        call(name, arguments)


@pytest.mark.parametrize("name", [name for name, arguments in CALLS.items() if arguments])
def test_wrong_arguments_are_refused(name):
    silent = []
    short = name.split(".", 1)[1]
    for parameter in CALLS[name]:
        allowed = ALLOWED.get(f"{short}:{parameter}", ALLOWED.get(parameter, set()))
        for kind, wrong in WRONG.items():
            try:
                call(name, {**CALLS[name], parameter: wrong})
            except InputError:
                continue
            except Exception as error:
                silent.append(f"{parameter}={kind}: {type(error).__name__}: {error}"[:150])
            else:
                if kind not in allowed:
                    silent.append(f"{parameter}={kind}: accepted")
    assert not silent, "\n".join(silent)

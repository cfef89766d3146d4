"""Everything to be measured on a GPU, in one go: python benchmarks/gpu.py --out DIR.

1. ms per run-step of Conv-2 on MNIST shapes against runs together, d, precision and convolution;
   runs of one training are timed in one scan, with the optimizer and the projections.
2. Where a step's time goes: the network's gradient alone, the two projections alone against the
   memory's speed, one evaluation, compilation.
3. Agreement: the same cell in one chunk, in chunks of 3 and one by one, and twice the same way.
4. The MNIST row of the paper's Fig. 2 by ``dofbook sweep --profile paper``'s own route: wall time,
   compilation, and training per cell.

Results go to DIR/gpu.json after every part, and to standard output. Random images serve parts 1 to
3, whose times do not depend on content. Part 4 reads MNIST under --data-dir, or with
--random-images takes random ones. --quick shrinks everything, to try the script on a CPU.
Deterministic operations are a property of the process: run the script a second time with
XLA_FLAGS=--xla_gpu_deterministic_ops=true to see their price.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dofbook.datasets import Dataset
from dofbook.experiments import cell as cells, make_sweep
from dofbook.experiments.config import CellConfig
from dofbook.experiments.executors import run_sweep
from dofbook.experiments.store import Store
from dofbook.experiments.tables import read_cells, write_table
from dofbook.experiments.verification import compare
from dofbook.networks import flatten
from dofbook.networks.layers import max_pool
from dofbook.provenance import environment
from dofbook.subspaces import AffineSubspace, Dense, Identity
from dofbook.training import (
    Batching,
    OptimizerConfig,
    TaskConfig,
    batched as runs,
    classification,
    task as tasks,
)
from dofbook.training.loop import evaluation, initial_state

SHAPE, BATCH = (28, 28, 1), 128


def patch_convolution(lhs, rhs, window_strides, padding, **_):
    """Convolve by patches and one matrix product: under vmap a batched product, no grouping."""
    height, width, channels, features = rhs.shape
    x = jnp.pad(lhs, ((0, 0), (height // 2, height // 2), (width // 2, width // 2), (0, 0)))
    rows, columns = lhs.shape[1], lhs.shape[2]
    shifted = [x[:, i : i + rows, j : j + columns] for i in range(height) for j in range(width)]
    patches = jnp.concatenate(shifted, axis=-1)
    return patches @ rhs.reshape(height * width * channels, features)


CONVOLUTIONS = {"native": jax.lax.conv_general_dilated, "patches": patch_convolution}


def make_network(convolution: str):
    class Conv2(nn.Module):
        @nn.compact
        def __call__(self, x):
            conv = partial(
                nn.Conv, kernel_size=(3, 3), conv_general_dilated=CONVOLUTIONS[convolution]
            )
            for features in (16, 32):
                x = max_pool(nn.relu(conv(features)(x)))
            return nn.Dense(10)(x.reshape(len(x), -1))

    return flatten(Conv2(), jax.ShapeDtypeStruct((1, *SHAPE), jnp.float32))


def timed(run, repeats: int = 3) -> tuple[float, float]:
    """Return seconds of the first call and the least of the following ones."""
    times = []
    for _ in range(1 + repeats):
        begin = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - begin)
    return times[0], min(times[1:])


def random_dataset(images: int, tests: int) -> Dataset:
    rng = np.random.default_rng(0)

    def split(count):
        x = rng.standard_normal((count, *SHAPE), np.float32)
        return x, rng.integers(0, 10, count).astype(np.int32)

    (x, y), (xt, yt) = split(images), split(tests)
    return Dataset.from_arrays(x, y, xt, yt, name="mnist")


def time_steps(args) -> list[dict]:
    """Part 1."""
    found, steps = [], 20 if args.quick else 100
    images = jax.random.normal(jax.random.key(0), (2 * BATCH if args.quick else 12_800, *SHAPE))
    labels = jnp.zeros(len(images), jnp.int32)
    # 0 stands for the full space; each combination is one compilation
    grid = [(256, count) for count in (1, 2, 5, 10, 20, 40)]
    grid += [(d, 10) for d in (0, 16, 1024, 4096)]
    grid = [(0, 1), (16, 2)] if args.quick else grid
    optimizer, devices = OptimizerConfig(), (jax.devices()[0],)
    # XLA runs the gradient of a native convolution in a loop forty times slower on a CPU
    for convolution in ("patches",) if args.quick else CONVOLUTIONS:
        network = make_network(convolution)
        for precision in ("float32", "tf32"):
            with Batching(precision=precision).matmul_precision():
                for d, count in grid:
                    what = {"convolution": convolution, "precision": precision, "d": d}
                    what |= {"runs": count}
                    try:
                        first, best = time_batch(
                            network, optimizer, devices, images, labels, d, count, steps
                        )
                    except jax.errors.JaxRuntimeError as problem:
                        found.append(what | {"error": str(problem).splitlines()[0]})
                        continue
                    ms = 1e3 * best / (steps * count)
                    found.append(what | {"ms_per_run_step": ms, "first_call_s": first})
                    say(found[-1])
                    jax.clear_caches()
                    runs._batched.cache_clear()
    return found


def time_batch(network, optimizer, devices, images, labels, d, count, steps):
    offset = jax.random.normal(jax.random.key(1), (count, network.D)) / 30
    where = Identity(network.D)
    if d:
        draw = jax.jit(lambda key: jax.random.normal(key, (count, d, network.D)) / network.D**0.5)
        where = Dense(draw(jax.random.key(2)))
    subspaces = AffineSubspace(offset, where)
    start = runs._spread(initial_state(d or network.D, optimizer), count)
    descend, _ = runs._batched(network, classification, optimizer, devices)
    order = jax.random.randint(jax.random.key(3), (count, steps, BATCH), 0, len(images))
    return timed(lambda: descend(subspaces, start, images, labels, order))


def time_parts(args) -> dict:
    """Part 2, for ten runs together."""
    count, D = 2 if args.quick else 10, make_network("native").D
    found = {}
    for d in (16,) if args.quick else (256, 1024, 4096):
        rows = jax.jit(lambda key, d=d: jax.random.normal(key, (count, d, D)))(jax.random.key(0))
        theta, g = jnp.ones((count, d)), jnp.ones((count, D))

        @jax.jit
        def both(rows, theta, g):
            return jnp.einsum("rd,rdD->rD", theta, rows), jnp.einsum("rdD,rD->rd", rows, g)

        seconds = timed(partial(both, rows, theta, g))[1]
        found[f"projections, d = {d}"] = {
            "ms_per_run": 1e3 * seconds / count,
            "gigabytes_per_second": 2 * rows.nbytes / seconds / 1e9,
        }
    for convolution in CONVOLUTIONS:
        network = make_network(convolution)
        w = jnp.zeros((count, network.D))
        x, y = jnp.ones((count, BATCH, *SHAPE)), jnp.zeros((count, BATCH), jnp.int32)

        def loss(w, x, y, network=network):
            return classification.loss(network.apply(w, x), y).mean()

        gradient = jax.jit(jax.vmap(jax.grad(loss)))
        first, seconds = timed(partial(gradient, w, x, y), 20)
        flops = gradient.lower(w, x, y).cost_analysis().get("flops", 0.0)
        found[f"one gradient from Python, {convolution}"] = {
            "ms_per_run": 1e3 * seconds / count,
            "teraflops": flops / seconds / 1e12,
            "first_call_s": first,
        }
        images = jnp.zeros((2000 if args.quick else 70_000, *SHAPE))
        labels = jnp.zeros(len(images), jnp.int32)
        for chunk in (100, 1000):
            chunked = evaluation(replace(network, evaluation_chunk=chunk), classification)
            evaluate = jax.jit(jax.vmap(chunked, in_axes=(0, None, None)))
            first, seconds = timed(partial(evaluate, w, images, labels))
            found[f"evaluation in chunks of {chunk}, {convolution}"] = {
                "ms_per_run": 1e3 * seconds / count,
                "first_call_s": first,
            }
    return found


def check_agreement(args) -> dict:
    """Part 3: the same runs, put together differently."""
    size = 500 if args.quick else None
    seeds = tuple(range(2 if args.quick else 6))
    task = TaskConfig(dataset="mnist", train_size=size, epochs=1)
    cell = CellConfig(task=task, d=16 if args.quick else 256, seeds=seeds)
    ways = {
        "together": Batching("batched"), "again": Batching("batched"),
        "in threes": Batching("batched", 3), "one by one": Batching("sequential"),
        "tf32": Batching("batched", precision="tf32"),
    }  # fmt: skip
    rows = {name: cells.run_cell(cell, args.data_dir, way) for name, way in ways.items()}
    first = rows.pop("together")
    return {
        name: [compare(first[first.seed == seed], other[other.seed == seed]) for seed in cell.seeds]
        for name, other in rows.items()
    }


def sweep_row(args) -> dict:
    """Part 4."""
    options = {"train_size": 500, "dims": (1, 16), "runs": 2, "epochs": 1} if args.quick else {}
    sweep = make_sweep("paper", baseline=False, **options)
    store = Store(args.out / "store")
    begin = time.perf_counter()
    report = run_sweep(sweep.cells(), store, data_dir=args.data_dir)
    wall = time.perf_counter() - begin
    stored = read_cells(store)
    write_table(store, args.out / "row.parquet")
    cells_ = [
        {
            **{k: v for k, v in cell.config.place().items() if k != "method"},
            **{k: cell.provenance[k] for k in ("wall_seconds", "compile_seconds")},
        }
        for cell in stored
    ]  # fmt: skip
    steps = sum(len(c.config.seeds) * int(c.table["step"].to_numpy().max()) for c in stored)
    return {
        "wall_seconds": wall,
        "computed": report.computed,
        "failed": report.failures,
        "training_steps": steps,
        "compile_seconds": sum(cell["compile_seconds"] for cell in cells_),
        "cells": sorted(cells_, key=lambda cell: (cell["d"], cell["burn_in_steps"])),
    }


def say(what) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def device_facts() -> dict:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.sm", "--format=csv"]
    try:
        smi = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    except OSError:
        smi = None
    return {"environment": environment(), "nvidia_smi": smi}


PARTS = {"row": sweep_row, "parts": time_parts, "agreement": check_agreement, "steps": time_steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--random-images", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=tuple(PARTS), action="append", help="default: all parts")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.random_images:
        counts = (2000, 500) if args.quick else (60_000, 10_000)
        tasks.load = lambda name, data_dir: random_dataset(*counts)
    results = device_facts()
    for name in args.only or PARTS:
        begin = time.perf_counter()
        results[name] = PARTS[name](args)
        results[f"{name}_seconds"] = time.perf_counter() - begin
        (args.out / "gpu.json").write_text(json.dumps(results, indent=1))
        if name != "steps":
            say({name: results[name]})


if __name__ == "__main__":
    main()

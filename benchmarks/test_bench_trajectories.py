"""Time and peak memory of a lottery spectrum at the size of ResNet20: T = 1,000, D = 272,474.

Each case runs in a process of its own, whose largest resident size counts everything: the stored
points, the spectrum, JAX, and the directions handed to the trainer. The points are a random walk,
because neither time nor memory depends on where a trajectory goes.
"""

import json
import subprocess
import sys

import pytest

D = 272_474
LIMIT = 4 * 2**30

SCRIPT = """
import json, resource, sys, time
import jax.numpy as jnp
import numpy as np
from dofbook.methods.trajectories import spectrum

T, D, basis = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

jnp.zeros(1).block_until_ready()
imports = peak()
rng = np.random.default_rng(0)
points = np.empty((T, D), np.float32)
w = np.zeros(D, np.float32)
for row in points:
    w += rng.standard_normal(D, dtype=np.float32)
    row[:] = w
start = time.perf_counter()
found = spectrum(points, basis)
seconds = time.perf_counter() - start
decomposed = peak()
del points, row  # row is a view that would keep them
rows = jnp.asarray(found.rows).block_until_ready()
error = 0.0
for i in range(0, len(rows), 100):
    overlaps = found.rows[i:i + 100] @ found.rows[:100].T
    overlaps -= np.eye(*overlaps.shape) if i == 0 else 0
    error = max(error, float(np.abs(overlaps).max()))
print(json.dumps(dict(seconds=seconds, imports=imports, decomposed=decomposed, whole=peak(),
                      rank=len(rows), error=error)))
"""


@pytest.mark.parametrize("basis", ["increments", "centred", "uncentred"])
@pytest.mark.parametrize("T", [281, 1000])
def test_spectrum(benchmark, capsys, T, basis):
    def run():
        command = [sys.executable, "-c", SCRIPT, str(T), str(D), basis]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    found = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    with capsys.disabled():
        sys.stdout.write(
            f"\nT = {T}, D = {D}, {basis}: {found['seconds']:.1f} s, peak "
            f"{found['decomposed'] / 2**30:.2f} GiB decomposed, {found['whole'] / 2**30:.2f} GiB "
            f"with all directions on the device ({found['imports'] / 2**30:.2f} GiB before, points "
            f"{4 * T * D / 2**30:.2f} GiB), rank {found['rank']}, orthonormal to "
            f"{found['error']:.1e}\n"
        )
    assert found["whole"] < LIMIT
    assert found["rank"] == T

"""A sweep killed at random moments and started again gives the very bytes of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

SWEEP = [
    "--network", "mlp", "--train-size", "100", "--test-size", "50", "--epochs", "1",
    "--runs", "2", "--no-baseline", "--store", "store", "--table", "table.parquet",
]  # fmt: skip
DIMS = ("1", "2", "4", "8")
CELLS = len(DIMS)


def start(folder, dims=DIMS) -> subprocess.Popen:
    """Start the command; all but the undisturbed sweep share compiled programs, to save time."""
    command = [sys.executable, "-m", "dofbook", "sweep", *SWEEP, "--dims", ",".join(dims)]
    folder.mkdir(exist_ok=True)
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent.parent / f"cache-{folder.name == 'whole'}"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | cache,
    )  # fmt: skip


def finish(folder, dims=DIMS) -> str:
    process = start(folder, dims)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def cell_files(folder) -> set[str]:
    return {path.name for path in (folder / "store").glob("*.parquet")}


def disturb(folder, sent: signal.Signals, delay: float) -> tuple[int, str]:
    """Start the sweep, wait until it computes, wait on, and send a signal."""
    process = start(folder)
    stored = len(cell_files(folder))
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if (folder / "store").exists() and len(cell_files(folder)) > stored:
            break
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def test_the_command_killed_and_repeated_gives_the_same_table(tmp_path):
    out = finish(tmp_path / "whole")
    assert f"{CELLS} cells: 0 were stored, {CELLS} computed, 0 failed." in out
    draw, disturbed = random.Random(7), tmp_path / "disturbed"
    counts = []
    for sent in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        code, err = disturb(disturbed, sent, draw.uniform(0, 0.3))
        counts.append(len(cell_files(disturbed)))
        if code == 0:  # a fast machine was done first; it cannot be at the first signal
            assert counts[-1] == CELLS
            break
        assert not (disturbed / "table.parquet").exists()
        if sent == signal.SIGINT:
            assert code == 130, err
            sentence = err.splitlines()[-1]  # Python may complain above it of a lost exception
            assert f"interrupted with {counts[-1]} of {CELLS} cells" in sentence
        else:
            assert code == -signal.SIGKILL, err
    assert 0 < counts[0] < CELLS
    assert counts == sorted(counts)
    out = finish(disturbed)
    assert f"{counts[-1]} were stored, {CELLS - counts[-1]} computed, 0 failed." in out
    assert cell_files(disturbed) == cell_files(tmp_path / "whole")
    assert not list((disturbed / "store").glob("*.corrupt-*"))
    whole, again = ((tmp_path / w / "table.parquet").read_bytes() for w in ("whole", "disturbed"))
    assert whole == again


def test_thirty_kills_anywhere_in_the_writing_leave_only_whole_cells(tmp_path):
    """Cheap rows, so that most of the time goes into writing files; forked to start at once."""
    script = """
        import os, random, signal, sys, threading, time
        from tqdm import tqdm
        tqdm.set_lock(threading.RLock())  # its default lock is shared with forked children
        sys.path.insert(0, sys.argv[2])
        from test_store import grid, make_rows
        from dofbook.experiments.executors import run_sweep
        from dofbook.experiments.store import Store
        from dofbook.experiments.tables import write_table
        from pathlib import Path

        root = Path(sys.argv[1])
        cells = [cell for k in range(2) for cell in grid(seeds=(k, k + 10))]
        whole, store = Store(root / "whole"), Store(root / "store")
        run_sweep(cells, whole, run_cell=make_rows)  # also warms every cache the children inherit
        write_table(whole, root / "whole.parquet")
        began = time.perf_counter()
        run_sweep(cells, Store(root / "timing"), run_cell=make_rows)
        span = time.perf_counter() - began
        draw, middle = random.Random(3), 0
        for _ in range(30):
            wanted = draw.randrange(len(store.names()), len(cells))
            child = os.fork()
            if child == 0:
                run_sweep(cells, store, run_cell=make_rows)
                os._exit(0)
            while len(store.names()) < wanted:  # the suite's timeout ends it if it never comes
                time.sleep(span / len(cells) / 10)
            time.sleep(draw.uniform(0, span / len(cells)))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            names = store.names()
            for name in names:
                store.read(name)  # raises if any file is not whole
            middle += 0 < len(names) < len(cells)
            if len(names) > len(cells) // 2:
                for name in draw.sample(names, len(names) // 2):
                    store.path(name).unlink()
        run_sweep(cells, store, run_cell=make_rows)
        write_table(store, root / "again.parquet")
        same = (root / "whole.parquet").read_bytes() == (root / "again.parquet").read_bytes()
        aside = [path.name for path in store.root.iterdir() if "corrupt" in path.name]
        print(f"same={same} aside={aside} middle={middle}")
    """
    tests = __file__.rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), str(tmp_path), tests],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = dict(entry.split("=") for entry in done.stdout.split())
    assert (result["same"], result["aside"]) == ("True", "[]")
    assert int(result["middle"]) >= 20  # the kills did fall into the middle of sweeps


def test_two_sweeps_on_one_store_do_not_disturb_each_other(tmp_path):
    shared, dims = tmp_path / "shared", DIMS[:2]
    for process in [start(shared, dims) for _ in range(2)]:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert len(cell_files(shared)) == len(dims)
    assert not list((shared / "store").glob("*.corrupt-*"))
    assert f"{len(dims)} were stored, 0 computed" in finish(shared, dims)

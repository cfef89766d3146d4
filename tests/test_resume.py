"""A sweep killed at random moments and started again gives the very bytes of an undisturbed one."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from dofbook import cli

SWEEP = [
    "--network", "mlp", "--train-size", "100", "--test-size", "50", "--epochs", "1",
    "--runs", "2", "--no-baseline", "--store", "store", "--table", "table.parquet",
]  # fmt: skip
DIMS = ("1", "2", "4", "8")
CELLS = len(DIMS)

HOLDING = """
    import gc, os, sys, time
    from pathlib import Path
    import jax
    from dofbook import cli
    from dofbook.experiments import cell as module

    os.chdir(folder)
    for number, name in ((1, os.devnull), (2, "errors")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    jax.config.update("jax_compilation_cache_dir", os.path.abspath("../cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    real, count = module.run_cell, 0

    def hold():
        Path("held").touch()
        time.sleep(3600)

    def lose(phase, info):
        gc.callbacks.remove(lose)
        hold()

    def run_cell(cell, data_dir=None):
        global count
        if count == wanted and when == "before":
            hold()
        if count == wanted and when == "collecting":
            gc.callbacks.append(lose)
            gc.collect()
            time.sleep(3600)
        rows = real(cell, data_dir)
        if count == wanted and when == "after":
            hold()
        count += 1
        return rows

    module.run_cell = run_cell
    sys.exit(cli.main(command))
"""
"""The command, which stops at a cell until a signal ends it: events are counted, not seconds."""

# Processes of their own, from one that has imported what they need, and has run nothing.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["dofbook.experiments.cell", "dofbook.experiments.tables", "flax.linen"]
)


def command(dims=DIMS) -> list[str]:
    return ["sweep", *SWEEP, "--dims", ",".join(dims)]


def start(folder, dims=DIMS) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "dofbook", *command(dims)], cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def cell_files(folder) -> set[str]:
    return {path.name for path in (folder / "store").glob("*.parquet")}


def disturb(folder, sent: signal.Signals, when: str, wanted: int) -> tuple[int, str]:
    """Start the sweep, wait until it holds, and send a signal.

    It holds "before" a cell, "after" it, or "collecting" garbage before it; ``wanted`` is how many
    cells are computed by then.
    """
    folder.mkdir(exist_ok=True)
    given = {"folder": str(folder), "command": command(), "when": when, "wanted": wanted}
    process = FORKS.Process(target=exec, args=(textwrap.dedent(HOLDING), given))
    process.start()
    while not (folder / "held").exists():
        assert process.is_alive(), (folder / "errors").read_text()
        time.sleep(0.01)
    (folder / "held").unlink()
    os.kill(process.pid, sent)
    process.join()
    return process.exitcode, (folder / "errors").read_text()


@pytest.mark.timeout(1200)
def test_the_command_killed_and_repeated_gives_the_same_table(tmp_path, monkeypatch, capsys):
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert cli.main(command()) == 0
    out = capsys.readouterr().out
    assert f"{CELLS} cells: 0 were stored, {CELLS} computed, 0 failed." in out
    disturbed = tmp_path / "disturbed"
    signals = (
        (signal.SIGINT, "collecting", 0),  # Python drops what is raised there
        (signal.SIGKILL, "before", 1),
        (signal.SIGINT, "after", 1),  # one more is computed, and not yet stored
        (signal.SIGKILL, "after", 1),
    )
    counts = []
    for sent, when, wanted in signals:
        code, err = disturb(disturbed, sent, when, wanted)
        counts.append(len(cell_files(disturbed)))
        assert not (disturbed / "table.parquet").exists()
        if sent == signal.SIGINT:
            assert code == 130, err
            sentence = f"interrupted with {counts[-1]} of {CELLS} cells stored; the same command"
            assert err.startswith(f"dofbook: {sentence}") and err.count("\n") == 1
        else:
            assert code == -signal.SIGKILL, err
    assert counts == [0, 1, 2, 3]
    out, err = start(disturbed).communicate()
    assert f"{counts[-1]} were stored, {CELLS - counts[-1]} computed, 0 failed." in out, err
    assert cell_files(disturbed) == cell_files(tmp_path / "whole")
    assert not list((disturbed / "store").glob("*.corrupt-*"))
    whole, again = ((tmp_path / w / "table.parquet").read_bytes() for w in ("whole", "disturbed"))
    assert whole == again


@pytest.mark.timeout(600)
def test_thirty_kills_anywhere_in_the_writing_leave_only_whole_cells(tmp_path):
    """Each child kills itself at an event of the writing that is drawn: no clock decides."""
    script = """
        import os, random, signal, sys, threading
        from tqdm import tqdm
        tqdm.set_lock(threading.RLock())  # its default lock is shared with forked children
        sys.path.insert(0, sys.argv[2])
        from test_store import grid, make_rows
        from dofbook.experiments import store as module
        from dofbook.experiments.executors import run_sweep
        from dofbook.experiments.store import Store
        from dofbook.experiments.tables import write_table
        from pathlib import Path

        root = Path(sys.argv[1])
        cells = [cell for k in range(2) for cell in grid(seeds=(k, k + 10))]
        whole, store = Store(root / "whole"), Store(root / "store")
        run_sweep(cells, whole, run_cell=make_rows)  # also warms every cache the children inherit
        write_table(whole, root / "whole.parquet")

        class Events:  # around the module's own os and open: every step of a writing is one
            def __init__(self, last):
                self.left = last

            def happen(self):
                self.left -= 1
                if self.left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            def __getattr__(self, name):
                real = getattr(os, name)
                if name not in ("fsync", "replace", "close"):
                    return real
                def step(*arguments):
                    self.happen()
                    done = real(*arguments)
                    self.happen()
                    return done
                return step

            def opened(self, path, mode):
                self.happen()
                file = open(path, mode)
                return Halves(file, self) if "b" in mode else file

        class Halves:
            def __init__(self, file, events):
                self.file, self.events = file, events

            def write(self, data):
                self.file.write(data[: len(data) // 2])
                self.file.flush()
                self.events.happen()
                self.file.write(data[len(data) // 2 :])

            def __getattr__(self, name):
                return getattr(self.file, name)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.file.close()

        counted = Events(10**6)
        module.os, module.open = counted, counted.opened
        run_sweep(cells, Store(root / "counted"), run_cell=make_rows)
        each = (10**6 - counted.left) / len(cells)
        draw, middle = random.Random(3), 0
        for _ in range(30):
            left = len(cells) - len(store.names())
            events = Events(draw.randrange(1, int(each * left)))
            child = os.fork()
            if child == 0:
                module.os, module.open = events, events.opened
                run_sweep(cells, store, run_cell=make_rows)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL
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
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = dict(entry.split("=") for entry in done.stdout.split())
    assert (result["same"], result["aside"]) == ("True", "[]")
    assert int(result["middle"]) >= 20  # the kills did fall into the middle of sweeps


@pytest.mark.timeout(600)
def test_two_sweeps_on_one_store_do_not_disturb_each_other(tmp_path, monkeypatch, capsys):
    shared, dims = tmp_path / "shared", DIMS[:2]
    for process in [start(shared, dims) for _ in range(2)]:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert len(cell_files(shared)) == len(dims)
    assert not list((shared / "store").glob("*.corrupt-*"))
    monkeypatch.chdir(shared)
    assert cli.main(command(dims)) == 0
    assert f"{len(dims)} were stored, 0 computed" in capsys.readouterr().out

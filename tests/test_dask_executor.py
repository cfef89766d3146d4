"""Sweeps on real worker processes: killed, failing, competing, on a full disk."""

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import run_rows
from run_rows import complete

from dofbook import cli
from dofbook.errors import InputError, RunFailed
from dofbook.experiments import dask_executor, identity
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.dask_executor import DaskExecutor
from dofbook.experiments.executors import run_sweep
from dofbook.experiments.store import Store, StoreError
from dofbook.experiments.tables import write_table

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
# Dask warns when its processes are killed; starting them takes a minute each on a busy machine.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(1200)]

TASK = TaskConfig(network="mlp", train_size=100, test_size=50, epochs=1)
CELLS = [CellConfig(task=TASK, d=d, seeds=(0, 1)) for d in range(1, 9)]
SLOW, SHORT = CELLS[2], 0.05


def make_rows(cell, data_dir=None, folder=None, raising=(), size=1, pause=0.0) -> pd.DataFrame:
    """Rows that depend on the cell alone; the slow cell waits to be killed, once."""
    time.sleep(pause)
    if cell.d in raising:
        (Path(folder) / f"attempt-{time.time_ns()}").touch()
        raise FloatingPointError(f"nothing but NaN at {cell.d}")
    if folder and not raising and cell == SLOW and not (Path(folder) / "worker").exists():
        part = Path(folder) / "part"
        part.write_text(str(os.getpid()))
        part.rename(Path(folder) / "worker")
        time.sleep(60)
    seeds = list(cell.seeds)
    return complete(cell, {"seed": seeds, "step": 0, "variant": "x" * size})


@pytest.fixture(scope="module")
def cluster():
    import cloudpickle

    # Workers do not have this file on their path.
    for module in (sys.modules[__name__], run_rows):
        cloudpickle.register_pickle_by_value(module)
    patient = {"distributed.deploy.lost-worker-timeout": "1 day"}  # in which one starts again
    with (
        dask.config.set(patient),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as local,
    ):
        yield DaskExecutor(scheduler=local.scheduler_address)
    for module in (sys.modules[__name__], run_rows):
        cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The table of an undisturbed sweep in one process."""
    root = tmp_path_factory.mktemp("plain")
    run_sweep(CELLS, Store(root / "store"), run_cell=make_rows)
    write_table(Store(root / "store"), root / "table.parquet")
    return (root / "table.parquet").read_bytes()


def table(store: Store) -> bytes:
    path = store.root.parent / "table.parquet"
    write_table(store, path)
    return path.read_bytes()


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 500
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text()


@pytest.fixture
def killer(tmp_path):
    """Kill the worker that has the slow cell."""

    def kill():
        os.kill(int(wait_for(tmp_path / "worker")), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    yield
    killer.join()


def test_a_worker_killed_in_a_cell_costs_nothing(cluster, killer, plain, tmp_path):
    store = Store(tmp_path / "store")
    report = run_sweep(CELLS, store, cluster, run_cell=partial(make_rows, folder=str(tmp_path)))
    assert report.failures == {}
    # A cell whose outcome the dead worker still held is found in the store, not computed again.
    assert report.stored + report.computed == len(CELLS)
    assert table(store) == plain


def test_the_only_local_worker_is_waited_for_when_it_dies(cluster, killer, plain, tmp_path):
    """However long it takes to start again: dask itself would forget it, here at once."""
    store, run = Store(tmp_path / "store"), partial(make_rows, folder=str(tmp_path))
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}):
        report = run_sweep(CELLS, store, DaskExecutor(workers=1), run_cell=run)
    assert report.failures == {}
    assert table(store) == plain


def test_a_cell_that_always_raises_is_retried_reported_and_harms_no_other(cluster, tmp_path):
    store = Store(tmp_path / "store")
    broken = partial(make_rows, folder=str(tmp_path), raising=(4,))
    report = run_sweep(CELLS, store, cluster, run_cell=broken, retries=2)
    assert len(list(tmp_path.glob("attempt-*"))) == 3
    name = CELLS[3].name
    assert list(report.failures) == list(store.failures()) == [name]
    assert "FloatingPointError: nothing but NaN at 4" in report.failures[name]
    assert set(store.names()) == {cell.name for cell in CELLS} - {name}


def test_two_sweeps_on_one_store_and_one_cluster(cluster, plain, tmp_path):
    store, reports = Store(tmp_path / "store"), []

    def sweep(cells):
        rows = partial(make_rows, pause=SHORT)
        reports.append(run_sweep(cells, store, cluster, run_cell=rows))

    other = threading.Thread(target=sweep, args=(CELLS[::-1],))
    other.start()
    sweep(CELLS)
    other.join()
    assert [report.failures for report in reports] == [{}, {}]
    assert all(report.stored + report.computed == len(CELLS) for report in reports)
    assert table(store) == plain


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 KiB; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("where", ["here", "on workers"])
def test_a_full_disk_stops_the_sweep_and_keeps_what_was_there(cluster, plain, small_disk, where):
    executor = cluster if where == "on workers" else None
    store, ballast = Store(small_disk / "store"), small_disk / "ballast"
    run_sweep(CELLS[:3], store, executor, run_cell=make_rows)
    kept = {name: store.path(name).read_bytes() for name in store.names()}
    with pytest.raises(OSError, match="No space"), ballast.open("wb") as file:
        for _ in range(128):
            file.write(b"0" * 1024)
            file.flush()
    with pytest.raises((StoreError, InputError), match="No space left on device"):
        run_sweep(CELLS, store, executor, run_cell=partial(make_rows, pause=SHORT))
    assert kept.items() <= {n: store.path(n).read_bytes() for n in store.names()}.items()
    assert not list(store.root.glob(".*"))
    ballast.unlink()
    report = run_sweep(CELLS, store, executor, run_cell=make_rows)
    assert report.stored >= 3
    write_table(store, small_disk / "table.parquet")
    assert (small_disk / "table.parquet").read_bytes() == plain


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", *arguments]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)


def test_a_scheduler_killed_and_started_again(cluster, plain, tmp_path):
    """As on a cluster: the scheduler's address is in a file, workers join it from outside."""
    file = tmp_path / "scheduler.json"
    serve = (
        "distributed.cli.dask_scheduler", "--scheduler-file", str(file), "--port", "0",
        "--no-dashboard", "--host", "127.0.0.1",
    )  # fmt: skip
    join = (
        "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1",
        "--no-dashboard", "--no-nanny", "--death-timeout", "900",
    )  # fmt: skip
    processes = [start(*serve), start(*join)]

    def replace_both():
        worker = int(wait_for(tmp_path / "worker"))
        for process in processes[:2]:
            process.kill()
        assert worker == processes[1].pid
        file.unlink()
        processes.extend([start(*serve), start(*join)])

    replacing = threading.Thread(target=replace_both)
    replacing.start()
    store = Store(tmp_path / "store")
    try:
        wait_for(file)
        executor = DaskExecutor(scheduler_file=str(file), patience=600)
        report = run_sweep(
            CELLS, store, executor, run_cell=partial(make_rows, folder=str(tmp_path))
        )
    finally:
        replacing.join()
        for process in processes:
            process.kill()
            process.wait()
    assert report.failures == {}
    assert report.stored + report.computed == len(CELLS)
    assert table(store) == plain


@pytest.fixture
def frozen(cluster):
    """Give a list for the process id of a worker that a test stops; another takes its place."""
    stopped = []
    with distributed.Client(cluster.scheduler, set_as_default=False) as client:
        workers = set(client.run(os.getpid).values())
        yield stopped
        assert stopped and set(stopped) < workers
        os.kill(*stopped, signal.SIGKILL)
        while len(set(client.run(os.getpid, on_error="ignore").values()) - set(stopped)) < 2:
            time.sleep(0.02)


def test_a_frozen_worker_does_not_stall_the_sweep(cluster, frozen, plain, tmp_path, caplog):
    """Its cell goes to the other worker, which computes it at once."""

    def freeze():
        frozen.append(int(wait_for(tmp_path / "worker")))
        os.kill(frozen[0], signal.SIGSTOP)

    freezer = threading.Thread(target=freeze)
    freezer.start()
    store = Store(tmp_path / "store")
    try:
        executor = replace(cluster, silence=4.0)
        report = run_sweep(
            CELLS, store, executor, run_cell=partial(make_rows, folder=str(tmp_path))
        )
    finally:
        freezer.join()
    assert (report.failures, report.lost) == ({}, [])
    assert "a worker is silent" in caplog.text
    assert table(store) == plain


def test_a_worker_that_freezes_with_an_outcome_in_hand_does_not_stall_the_sweep(
    cluster, frozen, plain, tmp_path, caplog, monkeypatch
):
    """The cell is stored and its task done, but who holds the outcome does not answer any more."""
    read = dask_executor._outcome

    def freezing(future, silence):
        if not frozen:
            (holder,) = future.client.who_has([future])[future.key]
            frozen.append(future.client.run(os.getpid, workers=[holder])[holder])
            os.kill(frozen[0], signal.SIGSTOP)
        return read(future, silence)

    monkeypatch.setattr(dask_executor, "_outcome", freezing)
    store = Store(tmp_path / "store")
    report = run_sweep(CELLS, store, replace(cluster, silence=4.0), run_cell=make_rows)
    assert (report.failures, report.lost) == ({}, [])
    assert "comes from another" in caplog.text
    assert table(store) == plain


class Renamed:
    """A cell as a worker of another version sees it: under another name."""

    def __init__(self, cell):
        self.cell, self.here = cell, os.getpid()
        self.task, self.author = cell.task, cell.author

    @property
    def name(self):
        return self.cell.name if os.getpid() == self.here else "0123456789abcdef"


def test_a_worker_that_calls_cells_otherwise_stops_the_sweep_before_it_stores(cluster, tmp_path):
    with pytest.raises(RunFailed, match="the worker tcp://127.0.0.1:.* give all workers the same"):
        list(cluster.map(make_rows, [Renamed(CELLS[0])]))
    assert not list(tmp_path.iterdir())


def test_workers_of_another_version_are_refused_when_they_are_met(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "SCHEMA_VERSION", 99)
    store = Store(tmp_path / "store")
    said = r"the worker tcp://127.0.0.1:\d+ has dofbook .* \(cells of schema 1\), this sweep .*99"
    with pytest.raises(RunFailed, match=said):
        run_sweep(CELLS, store, cluster, run_cell=make_rows)
    assert store.names() == [] and store.failures() == {}


def look_at(cell, folder):
    """Import a reader's network, as a worker that has run a cell of it."""
    if folder not in sys.path:
        sys.path.append(folder)
    importlib.invalidate_caches()
    importlib.import_module("dask_network")
    return identity.sources_of(cell)


def test_a_worker_with_other_code_than_the_sweep_stops_it(cluster, tmp_path, monkeypatch):
    text = (
        "from flax import linen as nn\n\n\ndef net(classes):\n"
        "    return nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(classes)])\n"
    )
    module, store = tmp_path / "dask_network.py", Store(tmp_path / "store")
    module.write_text(text)
    cell = CellConfig(task=replace(TASK, network="dask_network:net"), d=2, seeds=(0,))
    with distributed.Client(cluster.scheduler, set_as_default=False) as client:
        assert len(client.run(look_at, cell, str(tmp_path))) == 2
    module.write_text(text.replace("Dense(classes)", "Dense(classes, use_bias=False)"))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RunFailed, match="has another dask_network:net than this sweep; start it"):
        run_sweep([cell], store, cluster, progress=False)
    assert store.names() == []


def test_nothing_of_a_local_cluster_listens_to_other_hosts():
    before = listening_addresses()  # other tests of this process may listen too
    with DaskExecutor(workers=1)._cluster() as address, distributed.Client(address) as client:
        assert address.startswith("tcp://127.0.0.1:")
        about = client.scheduler_info()
        assert all(worker.startswith("tcp://127.0.0.1:") for worker in about["workers"])
        listening = set(client.run_on_scheduler(listening_addresses)) - set(before)
    assert listening and {host for host, _ in listening} == {"127.0.0.1"}


def listening_addresses() -> list[tuple[str, int]]:
    """Hosts and ports that this process listens to: the scheduler's, its dashboard's, if any."""
    import psutil

    sockets = psutil.Process().net_connections("tcp")
    return [tuple(entry.laddr) for entry in sockets if entry.status == psutil.CONN_LISTEN]


def test_the_command_with_workers_gives_the_bytes_of_the_plain_command(tmp_path, capsys):
    """Real training, a cluster that the command starts itself."""

    def sweep(name):
        return [
            "sweep", "--network", "mlp", "--train-size", "100", "--test-size", "50", "--epochs",
            "1", "--dims", "2,4", "--runs", "2", "--no-baseline", "--store", str(tmp_path / name),
            "--table", str(tmp_path / f"{name}.parquet"),
        ]  # fmt: skip

    assert cli.main(sweep("plain")) == 0
    command = [sys.executable, "-m", "dofbook", *sweep("dask"), "--executor", "dask"]
    done = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    for out in (capsys.readouterr().out, done.stdout):
        assert "2 cells: 0 were stored, 2 computed, 0 failed." in out
    plain, dask = ((tmp_path / f"{name}.parquet").read_bytes() for name in ("plain", "dask"))
    assert plain == dask


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_the_recipe_for_certificates_lets_in_who_has_the_key_and_no_other(tmp_path):
    """The commands and the file of the page on clusters, with real processes."""
    page = (Path(__file__).parents[1] / "book" / "clusters.md").read_text()
    page = page.replace("/shared/tls", str(tmp_path / "tls"))
    make = re.search(r"```bash\n(mkdir -m 700 .*?)```", page, re.DOTALL)[1]
    subprocess.run(make, shell=True, check=True, capture_output=True)
    config = re.search(r"```yaml\n(# \S+dask.yaml\n.*?)```", page, re.DOTALL)[1]
    (tmp_path / "tls" / "dask.yaml").write_text(config)
    env = {**os.environ, "DASK_CONFIG": str(tmp_path / "tls")}
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", "0"]
    worker = [*dask, "worker", "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard"]
    worker.append("--no-nanny")  # one process less
    ends = ["--scheduler-file", str(file)]
    sweep = [
        sys.executable, "-m", "dofbook", "sweep", "--network", "mlp", "--train-size", "100",
        "--test-size", "50", "--epochs", "1", "--dims", "2", "--runs", "1", "--no-baseline",
        "--store", str(tmp_path / "store"),
    ]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:
        for command in ([*scheduler, "--no-dashboard", *ends], [*worker, *ends]):
            process = stack.enter_context(subprocess.Popen(command, env=env, **quiet))
            stack.callback(process.kill)
            wait_for(file)
        done = subprocess.run([*sweep, *ends], env=env, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        assert "1 computed, 0 failed" in done.stdout
        address = json.loads(file.read_text())["address"]
        assert address.startswith("tls://127.0.0.1")
        with pytest.raises(RunFailed, match="no dask scheduler answers at tls://"):
            list(DaskExecutor(scheduler=address, patience=0.0).map(make_rows, CELLS))


def test_a_scheduler_that_is_not_there_is_one_sentence(tmp_path):
    nowhere, foreign = tmp_path / "nowhere.json", tmp_path / "foreign.json"
    foreign.write_text("[]")
    for options, place in (
        ({"scheduler": "tcp://127.0.0.1:9"}, "tcp://127.0.0.1:9"),
        ({"scheduler_file": str(nowhere)}, "nowhere.json after 0 s"),
        ({"scheduler_file": str(foreign)}, "foreign.json after 0 s"),
    ):
        with pytest.raises(RunFailed, match=f"no dask scheduler answers at .*{place}"):
            list(DaskExecutor(**options, patience=0.0).map(make_rows, CELLS))


def test_whoever_waits_for_a_scheduler_is_told_so_once(tmp_path, caplog):
    there = DaskExecutor(scheduler_file=str(tmp_path / "later.json"), patience=1.5)
    with pytest.raises(RunFailed, match="later.json after 1.5 s: "):
        list(there.map(make_rows, CELLS))
    assert caplog.text.count("later.json yet (") == 1 and "waiting 1.5 s for it" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": "tcp://a:1", "scheduler_file": "b"}, "not both"),
        ({"scheduler": "tcp://a:1", "workers": 2}, "workers is for a local cluster"),
        ({"workers": 0}, "workers is 0"),
        ({"scheduler": "nowhere"}, "scheduler is 'nowhere'; it must be an address"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        DaskExecutor(**options)

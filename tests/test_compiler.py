"""What is compiled is kept on disk: in whole files, that are found again, and made again where they are not what they should be."""

import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from chainrule.kernels.layer import enabled

if not enabled():
    pytest.skip("there is nothing compiled", allow_module_level=True)

from chainrule.kernels import compiler


def total(x):
    value = 0.0
    for i in range(len(x)):
        value += x[i]
    return value


def run(x, expected):
    """Call the function as a new process does; how often it was found on disk."""
    dispatcher = compiler.jit(total, {})
    assert dispatcher(x) == expected
    return sum(dispatcher._cache_hits.values())


@pytest.fixture
def places(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    folders = [tmp_path / "file" / "below", tmp_path / "first", tmp_path / "second"]  # nothing can be written to the first
    monkeypatch.setattr(compiler, "_places", lambda: folders)
    return folders


def test_code_is_kept_where_that_can_be(places):
    x = np.arange(3.0)
    assert run(x, 3) == 0 and run(x, 3) == 1
    assert run(x.astype("f4"), 3) == 0 and run(np.arange(6.0)[::2], 6) == 0
    assert len([*places[1].iterdir()]) == 3 and not places[2].exists()
    places[:] = [places[0], places[2], places[1]]  # as where what was kept cannot be written to by now
    assert run(x, 3) == 1 and not places[1].exists()


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-9] + b"x" + b[-8:], lambda b: b + b"x"]
)
def test_what_is_damaged_is_compiled_again(places, damage):
    assert run(np.arange(3.0), 3) == 0
    (kept,) = places[1].iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert run(np.arange(3.0), 3) == 0 and run(np.arange(3.0), 3) == 1
    assert [*places[1].iterdir()] == [kept]


def test_code_of_other_sources_is_replaced(places, monkeypatch):
    assert run(np.arange(3.0), 3) == 0
    monkeypatch.setattr(compiler, "_stamp", lambda: b"of another version")
    assert run(np.arange(3.0), 3) == 0 and run(np.arange(3.0), 3) == 1
    assert len([*places[1].iterdir()]) == 1


def test_where_nothing_can_be_kept_that_is_said_once(places):
    del places[1:]
    compiler._tell_that_nothing_is_kept.cache_clear()
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR"):
        assert run(np.arange(3.0), 3) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(np.arange(4.0), 6) == 0


def test_a_write_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def full(path, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(KeyboardInterrupt):
        compiler._write(tmp_path / "kept.nbc", b"code")
    assert not [*tmp_path.iterdir()]


def test_several_processes_start_at_once(tmp_path):
    """With an empty cache, in several dtypes; then all is found."""
    script = (
        "import sys, numpy as np\n"
        "from chainrule.kernels.arithmetic import cube\n"
        "x = np.arange(10000).astype(sys.argv[1])\n"
        "assert np.array_equal(cube(x), x * x * x)\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}

    def start(dtype):
        done = subprocess.run(
            [sys.executable, "-c", script, dtype], env=environment, capture_output=True, text=True, check=True
        )
        output.append(done.stdout)

    for _ in range(2):
        output: list[str] = []
        threads = [threading.Thread(target=start, args=(dtype,)) for dtype in ("f4", "f8")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(output) == 2
    assert not any("data saved" in each for each in output)


def test_an_interrupt_waits_for_the_product_that_compiled_code_needs():
    """Python's exceptions cannot pass through compiled code: a step would go on with what happened to be in memory."""
    script = (
        "import numpy as np, chainrule\n"
        "from chainrule.kernels import layer\n"
        "from chainrule.kernels.matmul import _product\n"
        "native, c_function, calls = layer._native(), layer._native().c_function, []\n"
        "def interrupted(*args):\n"
        "    calls.append(args)\n"
        "    if len(calls) == 1:\n"
        "        raise KeyboardInterrupt\n"
        "    return c_function(*args)\n"
        "native.c_function = interrupted\n"
        "a, b, product, told = *(np.ones((200, 200), 'f4') for _ in range(3)), False\n"
        "try:\n"
        "    _product(a, b, product)\n"
        "    [None for _ in range(10**8)]\n"
        "except KeyboardInterrupt:\n"
        "    told = True\n"
        "assert len(calls) == 2 and told and (product == 200).all()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_other_threads_allocate():
    script = (
        "import os, signal, sys, threading\n"
        "from chainrule.core import memory\n"
        "sys.setswitchinterval(1e-6)\n"
        "def work():\n"
        "    while True:\n"
        "        memory.empty((20_000,), 'f4')\n"
        "for _ in range(4):\n"
        "    threading.Thread(target=work, daemon=True).start()\n"
        "for _ in range(20):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        signal.alarm(10)\n"
        "        memory.empty((20_000,), 'f4')\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

"""The compiled step: how it is made and kept, and what it does when threads, processes and odd numbers come along."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from networks import network

from penjing.model import native
from penjing.model.operations import Product
from penjing.model.products import WORTH, prepared
from penjing.model.step_native import native_product

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As on a machine that has not compiled it yet; compiled quickly, for it is hardly run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(native, "FLAGS", ["-O0" if flag == "-O3" else flag for flag in native.FLAGS])
    native.library.cache_clear()
    yield tmp_path / "penjing"
    native.library.cache_clear()


def by_python(weight, x):
    return weight @ x


def test_it_is_compiled_once_and_kept(fresh):
    made = native.library()
    assert (made is None) == (COMPILER is None)
    if made is not None:
        (file,) = fresh.iterdir()
        before = file.stat().st_mtime_ns
        native.library.cache_clear()
        assert native.library() is not None and file.stat().st_mtime_ns == before and len(list(fresh.iterdir())) == 1


@pytest.mark.parametrize("why", ["off", "no compiler", "not a compiler", "no room", "damaged"])
def test_without_it_the_tape_is_run_in_python(fresh, monkeypatch, why):
    if why == "off":
        monkeypatch.setenv("PENJING_NATIVE", "0")
    elif why == "no compiler":
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setenv("PATH", "")
    elif why == "not a compiler":
        monkeypatch.setenv("CXX", "/bin/false" if os.path.exists("/bin/false") else sys.executable)
    elif why == "no room":
        fresh.parent.joinpath("file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(fresh.parent / "file"))
    else:
        monkeypatch.setattr(native, "made", lambda source: damaged(fresh))
    assert native.library() is None
    made = network("llama")
    with torch.inference_mode(), prepared(made, 1, WORTH):
        assert made.tape is not None and made.tape.native is None


def test_what_others_could_have_written_is_not_run(fresh, monkeypatch):
    if native.library() is None or not hasattr(os, "getuid"):
        return
    (file,) = fresh.iterdir()
    assert fresh.stat().st_mode & 0o077 == file.stat().st_mode & 0o077 == 0
    fresh.chmod(0o777)
    file.chmod(0o666)
    before = file.stat().st_ino
    native.library.cache_clear()
    assert native.library() is not None
    (file,) = fresh.iterdir()
    assert file.stat().st_ino != before and not fresh.stat().st_mode & 0o022, "compiled again, and closed to others"
    monkeypatch.setattr(os, "getuid", lambda: os.stat(fresh).st_uid + 1 or 1)
    native.library.cache_clear()
    assert (native.library() is None) == (fresh.stat().st_uid != 0)


def test_a_compiler_of_several_words_is_called(fresh, monkeypatch):
    monkeypatch.setenv("CXX", f"env LC_ALL=C {COMPILER}")
    assert (native.library() is None) == (COMPILER is None)
    monkeypatch.setenv("CXX", "c++ 'unfinished")
    native.library.cache_clear()
    assert native.library() is None


FEW = """
import resource, torch
from penjing.model import native
from penjing.model.operations import Product
from penjing.model.step_native import native_product
weight, x = torch.ones(64, 64), torch.ones(64)
run = native_product(Product(weight, None, x, x)) or (lambda: weight @ x)
assert run().eq(64).all()
torch.set_num_threads(8)
resource.setrlimit(resource.RLIMIT_AS, (2**20, resource.RLIM_INFINITY))  # no room for the stack of a thread
assert all(run().eq(64).all() for _ in range(20))
"""


def test_where_no_thread_can_be_begun_it_goes_on_with_those_there_are():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FEW], check=True, timeout=60)


def damaged(folder):
    folder.mkdir()
    file = folder / "step.so"
    file.write_bytes(b"no library")
    return file


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1), (2, 31), (3, 64), (7, 33), (8, 32), (100, 70), (257, 129)])
def test_products_of_all_shapes(shape, threads):
    torch.manual_seed(0)
    weight, x, bias = torch.randn(shape), torch.randn(shape[1]), torch.randn(shape[0])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for with_bias in (None, bias):
            run = native_product(Product(weight, with_bias, x, x)) or (
                lambda b=with_bias: by_python(weight, x) + (0 if b is None else b)
            )
            wanted = by_python(weight.double(), x.double()) + (0 if with_bias is None else with_bias)
            torch.testing.assert_close(run().double(), wanted, atol=1e-5, rtol=1e-5)
    finally:
        torch.set_num_threads(before)


def test_no_number_stays_no_number():
    weight = torch.ones(5, 40)
    weight[2, 3], weight[4, 39] = torch.nan, torch.inf
    run = native_product(Product(weight, None, torch.ones(40), torch.ones(40))) or (lambda: weight @ torch.ones(40))
    found = run()
    assert found[2].isnan() and found[4].isinf() and found[[0, 1, 3]].eq(40).all()


def test_several_callers_at_once_do_not_disturb_each_other():
    torch.manual_seed(1)
    asked = [(torch.randn(64, 96), torch.randn(96)) for _ in range(8)]
    runs = [native_product(Product(w, None, x, x)) or (lambda w=w, x=x: w @ x) for w, x in asked]

    def often(run):
        return [run() for _ in range(200)]

    with ThreadPoolExecutor(4) as pool:
        for (weight, x), made in zip(asked, pool.map(often, runs), strict=True):
            for one in made:
                torch.testing.assert_close(one, weight @ x, atol=1e-5, rtol=1e-5)


FORKED = """
import os, torch
from penjing.model.operations import Product
from penjing.model.step_native import native_product
torch.set_num_threads(2)
weight, x = torch.ones(64, 64), torch.ones(64)
run = native_product(Product(weight, None, x, x)) or (lambda: weight @ x)
assert run().eq(64).all()
child = os.fork()
if child == 0:
    os._exit(0 if run().eq(64).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and run().eq(64).all()
"""


def test_a_forked_process_gathers_its_own_threads():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], check=True, timeout=60)

"""The compiled kernels are loaded, or one line says why not and what would help."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from custom_ppo.engines.native import library as module
from custom_ppo.engines.native import sources
from custom_ppo.engines.native.library import REQUIRED, KernelsUnavailableError, Library, open_library
from custom_ppo.engines.native.signatures import SIGNATURES
from tests.custom_ppo.engines.native.compiled import compile_c, compile_kernels, needs_compiler

ROOT = Path(__file__).parents[4]
OWN_FUNCTIONS = {"kernels_digest", "kernels_compiler", "torch_function_names", "take_torch_functions"}
REBUILD = "run `make kernels`, or reinstall"
pytestmark = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in module.CAPABILITIES, reason="the kernels are not for this processor"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the kernels of this checkout, as the one in the package may be missing or old."""
    return compile_kernels(tmp_path_factory.mktemp("library") / "kernels.so", digest=sources.digest())


def reason(path: Path | None = None, libtorch: Path | None = None) -> str:
    with pytest.raises(KernelsUnavailableError) as error:
        open_library(path, libtorch)
    return str(error.value)


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run another Python in this checkout, with further variables of the environment."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, *arguments], env=variables, capture_output=True, text=True, check=False)


@needs_compiler
def test_a_compiled_library_calls_torchs_functions(compiled: Path) -> None:
    library = open_library(compiled)
    x = torch.linspace(-20, 20, 1003)
    y = torch.empty_like(x)
    library.kernels.kernels_tanh(len(x), x.data_ptr(), y.data_ptr())

    assert torch.equal(y, x.tanh())
    assert library.has(*REQUIRED)
    assert not library.has("sgemm_", "no_such_function")
    assert (library.path, library.digest) == (compiled, sources.digest())
    assert re.match(r"GCC \d|.*[Cc]lang ", library.compiler)


@needs_compiler
def test_the_library_of_the_package_is_that_of_its_sources(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUILT_LIBRARY", compiled)
    assert open_library().path == compiled


def test_a_package_without_the_library_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUILT_LIBRARY", tmp_path / "kernels.so")
    assert reason() == f"the kernels were not compiled; install a C compiler (gcc or clang) and {REBUILD}"


@needs_compiler
def test_a_library_of_other_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a function that Python declares, as an older library may be: the sources are what must be reported.
    built = compile_kernels(tmp_path / "kernels.so", replace=("kernels_tanh", "other_tanh"))
    monkeypatch.setattr(module, "BUILT_LIBRARY", built)
    assert reason() == f"the kernels were compiled from other sources; {REBUILD}"


@needs_compiler
def test_a_library_without_its_sources_is_refused(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUILT_LIBRARY", compiled)
    monkeypatch.setattr(sources.digest, "__defaults__", (tmp_path / "kernels",))
    assert reason().startswith("the kernels cannot be loaded ([Errno 2] No such file or directory")


@needs_compiler
def test_a_library_of_the_user_need_not_have_these_sources(tmp_path: Path) -> None:
    assert open_library(compile_kernels(tmp_path / "mine.so", digest="mine")).digest == "mine"


@needs_compiler
def test_a_library_without_a_function_is_refused_by_name(tmp_path: Path) -> None:
    path = compile_kernels(tmp_path / "mine.so", replace=("kernels_tanh", "other_tanh"))
    assert reason(path) == (
        f"the kernels cannot be loaded ({path}: undefined symbol: kernels_tanh); unset CUSTOM_PPO_KERNELS"
    )


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    assert re.fullmatch(r"the kernels cannot be loaded \(.*text.so: .*\); unset .*", reason(tmp_path / "text.so"))
    assert reason(tmp_path / "none.so") == f"there is no file {tmp_path / 'none.so'}; unset CUSTOM_PPO_KERNELS"


@needs_compiler
def test_a_torch_without_mkl_is_refused_by_the_functions_it_lacks(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.c").write_text('__attribute__((visibility("default"))) void sgemm_(void) {}\n')
    libtorch = compile_c(tmp_path / "libtorch_cpu.so", tmp_path / "torch.c")
    assert reason(compiled, libtorch) == (
        "this build of torch has no VMSTANH_, VMSEXP_, VMSLN_, VMSSQRT_, as it was made without MKL; "
        "install torch from PyPI"
    )
    assert reason(compiled, tmp_path / "none.so").startswith("this build of torch has no none.so (")


@needs_compiler
def test_a_torch_without_sleef_lacks_only_what_needs_it(tmp_path: Path) -> None:
    functions = "\n".join(f'__attribute__((visibility("default"))) void {name}(void) {{}}' for name in REQUIRED)
    (tmp_path / "torch.c").write_text(functions)
    libtorch = compile_c(tmp_path / "libtorch_cpu.so", tmp_path / "torch.c")
    # A library of its own: functions that do nothing must not get into the one that other tests call.
    library = open_library(compile_kernels(tmp_path / "kernels.so"), libtorch)
    assert library.torch_functions == set(REQUIRED)
    assert library.has("sgemm_")
    assert not library.has("Sleef_expf8_u10")


@pytest.mark.parametrize("capability", ["DEFAULT", "NO AVX"])
def test_other_processors_are_refused_by_name(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert reason() == (
        f"torch's CPU capability is {capability}, but the kernels reproduce the rounding of AVX2 and AVX512; "
        "use another CPU, or unset ATEN_CPU_CAPABILITY"
    )


def test_other_platforms_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    assert reason() == "it needs Linux on x86_64, and this is linux on aarch64"


def test_the_outcome_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(path: Path | None) -> Library:
        calls.append(path)
        raise KernelsUnavailableError("no")

    monkeypatch.setattr(module, "open_library", refuse)
    monkeypatch.delenv("CUSTOM_PPO_KERNELS", raising=False)
    module._outcome.cache_clear()
    try:
        assert [module.reason_against_loading() for _ in range(2)] == ["no", "no"]
        with pytest.raises(KernelsUnavailableError, match=r"^no$"):
            module.load()
    finally:
        module._outcome.cache_clear()
    assert calls == [None]


@needs_compiler
def test_the_variable_names_another_library(compiled: Path) -> None:
    done = run_python("-m", "custom_ppo.engines.native", CUSTOM_PPO_KERNELS=str(compiled))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"library         {compiled}\n" in done.stdout


@needs_compiler
@pytest.mark.parametrize("function", ["VMSEXP_", "VMSSQRT_"])  # other numbers, and NaN
def test_a_library_with_other_bits_is_found_out(tmp_path: Path, function: str) -> None:
    wrong = compile_kernels(tmp_path / "wrong.so", replace=("torch_math.VMSTANH_", f"torch_math.{function}"))
    done = run_python("-m", "custom_ppo.engines.native", CUSTOM_PPO_KERNELS=str(wrong))
    assert done.returncode == 1
    assert "\nkernels         DO NOT AGREE with autograd for actions Discrete(3) and Box(" in done.stdout


@pytest.mark.parametrize("value", ["0", "off"])
def test_the_variable_disables_the_kernels(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOM_PPO_KERNELS", value)
    module._outcome.cache_clear()
    try:
        assert module.reason_against_loading() == f"CUSTOM_PPO_KERNELS={value} disables it; unset that variable"
    finally:
        module._outcome.cache_clear()


def test_torchs_own_variable_for_the_processor_is_obeyed() -> None:
    done = run_python("-m", "custom_ppo.engines.native", ATEN_CPU_CAPABILITY="default")
    assert done.returncode == 1
    assert "native engine   not available: torch's CPU capability is DEFAULT, but" in done.stdout


def test_importing_the_package_loads_no_library() -> None:
    done = run_python("-c", "import custom_ppo; print('_kernels' in open('/proc/self/maps').read())")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_each_exported_function_is_declared_with_its_arguments() -> None:
    text = "\n".join(path.read_text() for path in sources.source_files(suffixes=(".c",)))
    exported = {
        name: 0 if arguments.strip() in ("", "void") else arguments.count(",") + 1
        for name, arguments in re.findall(r"\bEXPORT\s[^(;{]*?(\w+)\(([^)]*)\)", text)
    }
    assert exported.keys() >= OWN_FUNCTIONS
    assert {name: n for name, n in exported.items() if name not in OWN_FUNCTIONS} == {
        name: len(arguments) for name, (_, arguments) in SIGNATURES.items()
    }

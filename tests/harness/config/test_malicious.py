"""Files made to run code, to hang or to exhaust the reader: each is refused in one short line, below a second."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.config import read_config
from harness.config.trust import untrusted_imports
from tests.harness.config.fuzz import SWEEP, _bases, fuzzed

Refuse = Callable[[str], str]

ROOT = Path(__file__).parents[3]

BEGINNING = "name: a\nalgorithms: [ppo]\nenvironments: {CartPole-v1: {n_timesteps: 100}}\nseeds: 1\n"


def with_value(key: str, value: str) -> str:
    return BEGINNING + f"hyperparameters:\n  ppo:\n    default:\n      policy: MlpPolicy\n      {key}: {value}\n"


def laughs(n: int, inner: str) -> str:
    lines = ["x0: &x0 [1, 1]"]
    lines += [f"x{i}: &x{i} {inner.format(i - 1)}" for i in range(1, n)]
    return "\n".join(lines)


def chained_merges(n: int) -> str:
    lines = ["m0: &m0 {k0: 1}"]
    lines += [f"m{i}: &m{i} {{<<: *m{i - 1}, k{i}: 1}}" for i in range(1, n)]
    return "\n".join(lines)


MALICIOUS = {
    "a call": "name: !!python/object/apply:os.system ['touch hacked']",
    "a call as a key": "!!python/object/apply:os.system ['touch hacked']: 1",
    "a new object": "name: !!python/object/new:subprocess.Popen [['touch', 'hacked']]",
    "a module": "name: !!python/module:os",
    "a name": "name: !!python/name:os.system ''",
    "a tuple": "name: !!python/tuple [1]",
    "an own tag": "name: !hack 1",
    "a directive": "%TAG ! tag:yaml.org,2002:python/\n---\nname: !name:os.system ''",
    "a literal that calls": with_value("policy_kwargs", "\"dict(a=__import__('os').system('touch hacked'))\""),
    "a literal that evaluates": with_value("policy_kwargs", "\"eval('1')\""),
    "a literal with a lambda": with_value("policy_kwargs", '"dict(a=(lambda: 1)())"'),
    "a comprehension": with_value("policy_kwargs", '"[x for x in [1]]"'),
    "an attribute": with_value("policy_kwargs", '"dict(a=nn.Module.__subclasses__)"'),
    "an f-string": with_value("policy_kwargs", "\"dict(a=f'{1}')\""),
    "a name of the operating system": with_value("policy_kwargs", '"dict(activation_fn=os.system)"'),
    "a huge power": with_value("policy_kwargs", '"dict(a=2**10**9)"'),
    "a repeated list": with_value("policy_kwargs", '"dict(a=[1] * 10**9)"'),
    "a huge number in a literal": with_value("policy_kwargs", f'"dict(a={"9" * 9000})"'),
    "a deep literal": with_value("policy_kwargs", f'"{"[" * 4900}{"]" * 4900}"'),
    "a deep literal of calls": with_value("policy_kwargs", f'"{"dict(a=" * 90}1{")" * 90}"'),
    "a long chain of signs": with_value("policy_kwargs", f'"{"-" * 9000}1"'),
    "a long chain of attributes": with_value("policy_kwargs", f'"{"a." * 4500}a"'),
    "a long sum": with_value("policy_kwargs", f'"{"1+" * 4500}1"'),
    "a long literal": with_value("policy_kwargs", f'"{"1," * 100_000}"'),
    "a callback": with_value("learning_rate", "lin_" + "9" * 100_000),
    "a schedule that backtracks": with_value("clip_range", "9" * 100_000 + "x"),
    "a number of thousands of digits": with_value("n_steps", "9" * 5_000),
    "a float of thousands of digits": with_value("learning_rate", "0." + "1" * 100_000),
    "a number of underscores": with_value("n_steps", "1" + "_" * 100_000),
    "an exponent of thousands of digits": with_value("learning_rate", "1e" + "9" * 5_000),
    "an infinite number": with_value("learning_rate", ".inf"),
    "not a number": with_value("learning_rate", ".nan"),
    "a seed of thousands of digits": BEGINNING.replace("seeds: 1", f"seeds: {'9' * 5_000}"),
    "seeds of thousands of digits": BEGINNING.replace("seeds: 1", f"seeds: 0-{'9' * 50_000}"),
    "seeds of spaces": BEGINNING.replace("seeds: 1", f"seeds: '[{' ' * 100_000}x]'"),
    "an escape beyond Unicode": 'name: "\\U00110000"',
    "a large escape": 'name: "\\UFFFFFFFF"',
    "half of a surrogate pair": 'name: "\\ud800"',
    "half of a surrogate pair as a key": '"\\udfff": 1',
    "a character of zero": 'name: "a\\0b"',
    "control characters": 'name: "\\e[31m\\a\\b"',
    "text from right to left": 'name: "\\u202egnp.exe"',
    "markup": "name: '[bold red]a[/]'",
    "a script": "name: '<script>alert(1)</script>'",
    "a parent folder": "name: ..",
    "a path": "name: ../../etc/passwd",
    "an absolute path": "name: /etc/passwd",
    "an empty name": "name: ''",
    "a long name": f"name: {'x' * 100_000}",
    "a long key": f"{'x' * 100_000}: 1",
    "a long line": f"name: [{'1, ' * 20_000}]",
    "a label that is a path": BEGINNING.replace("[ppo]", "[{../ppo: {class: ppo}}]"),
    "a label with a slash": BEGINNING.replace("[ppo]", "[{a/b: {class: ppo}}]"),
    "a label with a line break": BEGINNING.replace("[ppo]", '[{"a\\nb": {class: ppo}}]'),
    "an environment that is a path": BEGINNING.replace("CartPole-v1", "../../x"),
    "an environment of dots": BEGINNING.replace("CartPole-v1", ".."),
    "a long environment": BEGINNING.replace("CartPole-v1", "x" * 300),
    "an environment with markup": BEGINNING.replace("CartPole-v1", "'<b>x</b>'"),
    "a class that is a path": BEGINNING.replace("[ppo]", "['../x:Agent']"),
    "a level that is a path": BEGINNING.replace("[ppo]", "[{sweep: {of: ppo, gamma: {../x: 0.9}}}]"),
    "billions of values": laughs(12, "[*x{0}, *x{0}, *x{0}, *x{0}, *x{0}, *x{0}, *x{0}, *x{0}, *x{0}]"),
    "billions of merged values": laughs(40, "{{<<: [*x{0}, *x{0}]}}").replace("[1, 1]", "{a: 1}"),
    "deep nesting by anchors": laughs(300, "[*x{0}]"),
    "merges in a chain": chained_merges(2_000),
    "many merges": "m: &m {a: 1}\nn: {<<: [" + ", ".join(["*m"] * 20_000) + "]}",
    "an anchor inside itself": "a: &a [*a]",
    "a merge of itself": "a: &a {<<: *a}",
    "deep lists": "a: " + "[" * 100_000,
    "deep mappings": "a: " + "{a: " * 50_000,
    "deep block lists": "- " * 50_000 + "1",
    "deep keys": "? " * 50_000 + "1",
    "many documents": "--- 1\n" * 10_000,
    "many unknown keys": "\n".join(f"k{i}: 1" for i in range(5_000)),
    "many problems": BEGINNING.replace("[ppo]", "[" + "zzz, " * 5_000 + "]"),
    "many algorithms": BEGINNING.replace("[ppo]", f"[{', '.join(f'{{a{i}: {{class: ppo}}}}' for i in range(3_000))}]")
    .replace("{CartPole-v1", f"{{{', '.join(f'X{i}-v0: {{n_timesteps: 99}}' for i in range(300))}, CartPole-v1"),
    "a large sweep": BEGINNING.replace(
        "[ppo]",
        "[{sweep: {of: ppo, " + ", ".join(f"{key}: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]" for key in (
            "gamma", "gae_lambda", "clip_range", "ent_coef", "vf_coef", "learning_rate", "max_grad_norm", "target_kl")
        ) + "}}]"),
    "a file of hyperparameters that is a device": BEGINNING + "hyperparameters: {ppo: /dev/zero}",
    "a file of hyperparameters that is random": BEGINNING + "hyperparameters: {ppo: /dev/urandom}",
    "a file of hyperparameters that is a pipe": BEGINNING + "hyperparameters: {ppo: pipe}",
    "a file of hyperparameters that is a folder": BEGINNING + "hyperparameters: {ppo: .}",
    "a file of hyperparameters that is large": BEGINNING + "hyperparameters: {ppo: large.yml}",
    "a file of hyperparameters that is binary": BEGINNING + "hyperparameters: {ppo: binary.yml}",
    "a file of hyperparameters with a zero in its name": BEGINNING + 'hyperparameters: {ppo: "a\\0b"}',
    "a file of hyperparameters with a long name": BEGINNING + f"hyperparameters: {{ppo: {'x' * 10_000}}}",
    "a file of hyperparameters that is a secret": BEGINNING + "hyperparameters: {ppo: secret.yml}",
    "a wrapper of the operating system": with_value("env_wrapper", "os.system"),
    "a wrapper that starts a process": with_value("env_wrapper", "[{subprocess.Popen: {args: [touch, hacked]}}]"),
    "a policy of the operating system": with_value("policy_kwargs", "null").replace("MlpPolicy", "os.system"),
    "a callback that starts a process": with_value("callback", "[{subprocess.Popen: {args: [touch, hacked]}}]"),
    "a callback of the operating system": with_value("callback", "os.system"),
    "a callback that writes elsewhere": with_value(
        "callback", "{stable_baselines3.common.callbacks.CheckpointCallback: {save_freq: 1, save_path: /etc}}"),
    "a callback that leaves its folder": with_value(
        "callback", "{rl_zoo3.callbacks.SaveVecNormalizeCallback: {save_freq: 1, save_path: a/../../..}}"),
    "a callback whose file leaves its folder": with_value(
        "callback", "{rl_zoo3.callbacks.SaveVecNormalizeCallback: {save_path: a, name_prefix: ../../../x}}"),
    "a callback with a long path": with_value("callback", f"{{a.B: {{save_path: {'x' * 10_000}}}}}"),
    "a callback that is a number of lists": with_value("callback", "[" * 60 + "]" * 60),
    "an environment of another package": BEGINNING.replace("CartPole-v1", "'os:CartPole-v1'"),
    "an algorithm of another package": BEGINNING.replace("[ppo]", "['subprocess:Popen']"),
}  # fmt: skip


@pytest.fixture
def refuse(folder: Path) -> Refuse:
    """Return a function from the text of a file to its first problem."""
    os.mkfifo(folder / "pipe")
    (folder / "large.yml").write_text("a: 1\n" * 1_000_000)
    (folder / "binary.yml").write_bytes(b"\x00\xff\xfe")
    (folder / "secret.yml").write_text("root:x:0:0:" + "secret" * 50 + "\n")

    def first_problem(text: str) -> str:
        (folder / "a.yml").write_text(text)
        reading = read_config(Path("a.yml"))
        problems = [*reading.problems, *untrusted_imports(reading, ())]
        assert all(str(problem).isprintable() and len(str(problem)) <= 1_000 for problem in problems)
        return str(problems[0])

    return first_problem


@pytest.mark.parametrize("kind", MALICIOUS)
def test_a_malicious_file_is_refused_at_once_in_one_line(kind: str, refuse: Refuse, folder: Path) -> None:
    def seconds() -> float:
        before = time.process_time()
        refuse(MALICIOUS[kind])
        return time.process_time() - before

    problem = refuse(MALICIOUS[kind])

    # Collecting the garbage of a process that has loaded torch may fall into one measurement, but not into each.
    assert any(seconds() < 1.0 for _ in range(3))
    assert problem.startswith(("a.yml:", "binary.yml:", "secret.yml:"))
    assert "secretsecretsecretsecretsecretsecret" not in problem
    assert not (folder / "hacked").exists()


def test_no_module_evaluates_text_or_loads_objects() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "harness" / "config").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and node.id in {"eval", "exec", "compile", "__import__"})
        or (isinstance(node, ast.Attribute) and node.attr in {"load", "unsafe_load", "full_load", "loads", "system"})
    ]

    assert found == []


def test_the_fuzzed_files_are_the_same_on_every_machine() -> None:
    bases = _bases()

    assert [fuzzed(number, bases) for number in range(50)] == [fuzzed(number, bases) for number in range(50)]
    assert len({fuzzed(number, bases) for number in range(50)}) > 45
    assert SWEEP in bases


def test_damaged_files_load_or_are_refused_cleanly() -> None:
    # In a process of its own, as it installs an audit hook, which cannot be removed.
    command = [sys.executable, "-m", "tests.harness.config.fuzz", "300", "--first", "1000000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert ", 0 failed;" in done.stdout

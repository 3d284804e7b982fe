"""Evaluate a policy as SB3's `evaluate_policy` does, with the same bits in a fraction of its time.

actors        deterministic actions of a multilayer perceptron without modules and distribution objects
simulations   environments stepped without the copies of vector environments and without wrappers that only count
dynamics      the equations of CartPole, Pendulum and InvertedDoublePendulum for several environments at once
episodes      the loop over episodes, and the conditions under which it replaces `evaluate_policy`
"""

from harness.training.evaluation.episodes import evaluate

__all__ = ["evaluate"]

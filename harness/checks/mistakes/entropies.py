"""Wrong entropies that people have published, from custom_ppo's distributions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from custom_ppo.distributions import Categorical, Distribution
from harness.checks.case import Inputs, Mistake, Outputs
from harness.checks.mistakes.components import (
    LOG_2PI,
    REDUCTIONS,
    Formula,
    bernoulli,
    categorical,
    entropies_of,
    gaussian,
    gsde,
    gsde_std,
    multi_categorical,
    tensors,
)

__all__ = ["ENTROPY_FORMULAE", "ENTROPY_MISTAKES"]


def _of_entropies(components: Callable[..., list[Distribution]], *, several: bool = True) -> dict[str, Formula]:
    def of(change: Callable[[Tensor], Tensor]) -> Formula:
        return lambda *arguments: change(entropies_of(components(*arguments)))

    formulae = {text: of(reduce) for text, reduce in REDUCTIONS.items()} if several else {}
    return {
        **formulae,
        "the sign: minus the entropy, which is SB3's loss (it is checked as a quantity to be large)": of(
            lambda parts: -parts.sum(dim=1)
        ),
        "the entropy in bits (logarithm to base 2), not in nats": of(lambda parts: parts.sum(dim=1) / math.log(2)),
    }


def _plogp(p: Tensor, log_p: Tensor) -> Tensor:
    return -(p * log_p).sum(1)


ENTROPY_FORMULAE: Mapping[str, Mapping[str, Formula]] = {
    "categorical": {
        **_of_entropies(categorical, several=False),
        "the logits are not normalised: - sum p * logits": lambda logits: _plogp(logits.softmax(1), logits),
        "an impossible choice gives 0 * -inf = NaN; 0 log 0 is 0": lambda logits: _plogp(
            logits.softmax(1), logits.log_softmax(1)
        ),
        "log(softmax(...)), which underflows: 0 * -inf = NaN": lambda logits: _plogp(
            logits.softmax(1), logits.softmax(1).log()
        ),
        "the softmax runs over the batch (dim 0), not over the choices": lambda logits: _plogp(
            logits.softmax(0), logits.log_softmax(0)
        ),
        "the mean over the choices instead of their sum": lambda logits: (
            Categorical(logits).entropy() / logits.shape[1]
        ),
        "the factor p is missing: - sum log p": lambda logits: -logits.log_softmax(1).sum(1),
        "the entropy is divided by its maximum, log n": lambda logits: (
            Categorical(logits).entropy() / math.log(logits.shape[1])
        ),
        "minus the log-probability of the most likely choice": lambda logits: -logits.log_softmax(1).max(1).values,
    },
    "multi_categorical": {
        **_of_entropies(multi_categorical),
        "one softmax over all components together": lambda logits, nvec: Categorical(logits).entropy(),
        "the largest of the components' entropies": lambda logits, nvec: (
            entropies_of(multi_categorical(logits, nvec)).max(1).values
        ),
    },
    "bernoulli": {
        **_of_entropies(bernoulli),
        "only -p log p: -(1 - p) log(1 - p) is missing": lambda logits: _plogp(
            torch.sigmoid(logits), functional.logsigmoid(logits)
        ),
        "0 * log 0 is NaN for nearly certain switches": lambda logits: (
            _plogp(torch.sigmoid(logits), torch.sigmoid(logits).log())
            + _plogp(1 - torch.sigmoid(logits), (1 - torch.sigmoid(logits)).log())
        ),
        "the softmax of the switches, as if one of them had to be chosen": lambda logits: Categorical(logits).entropy(),
    },
    "diag_gaussian": {
        **_of_entropies(gaussian),
        "1/2 of each component is missing: log_std + log(2 pi) / 2": lambda mean, log_std: (
            (log_std + 0.5 * LOG_2PI).expand_as(mean).sum(1)
        ),
        "log_std alone, without (1 + log(2 pi)) / 2": lambda mean, log_std: log_std.expand_as(mean).sum(1),
        "the constant (1 + log(2 pi)) / 2 counts once, not for each component": lambda mean, log_std: (
            log_std.expand_as(mean).sum(1) + 0.5 + 0.5 * LOG_2PI
        ),
        "log_std is taken as the logarithm of the variance": lambda mean, log_std: (
            (0.5 * log_std + 0.5 + 0.5 * LOG_2PI).expand_as(mean).sum(1)
        ),
        "2 log_std where log_std belongs": lambda mean, log_std: (
            (2 * log_std + 0.5 + 0.5 * LOG_2PI).expand_as(mean).sum(1)
        ),
        "the standard deviation in the place of its logarithm": lambda mean, log_std: (
            (log_std.exp() + 0.5 + 0.5 * LOG_2PI).expand_as(mean).sum(1)
        ),
        "one entropy for all rows: [A] or [] in the place of [B]": lambda mean, log_std: log_std + 0.5 + 0.5 * LOG_2PI,
    },
    "gsde": {
        **_of_entropies(gsde),
        "that of the noise matrix, not of the actions: log_std added up": lambda mean, log_std, f: (
            (log_std + 0.5 + 0.5 * LOG_2PI).sum().expand(len(mean))
        ),
        "the standard deviation lacks its root: it is the variance": lambda mean, log_std, f: (
            2 * gsde_std(log_std, f).log() + 0.5 + 0.5 * LOG_2PI
        ).sum(1),
    },
}


def _entropy_mistake(formula: Formula) -> Mistake:
    def mistake(inputs: Inputs) -> Outputs:
        *parameters, _ = tensors(inputs)
        entropy = formula(*parameters).double()
        if entropy.ndim == 0:
            return {"mean entropy": entropy.numpy()}
        return {"entropy": entropy.numpy(), "mean entropy": entropy.mean().numpy()}

    return mistake


ENTROPY_MISTAKES: Mapping[str, Mapping[str, Mistake]] = {
    name: {text: _entropy_mistake(formula) for text, formula in formulae.items()}
    for name, formulae in ENTROPY_FORMULAE.items()
}

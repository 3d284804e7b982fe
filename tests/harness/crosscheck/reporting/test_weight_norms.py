from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.crosscheck.reporting.weight_norms import norms_in_words

PARAMETERS = tuple((f"layer{number}.weight", (2, 2)) for number in range(6))


def weights(*norms: float) -> NDArray[np.float32]:
    return np.concatenate([np.full(4, norm / 2, np.float32) for norm in norms])


def test_layers_of_another_norm_are_named_with_the_ratio() -> None:
    words = norms_in_words(weights(1, 2, 3), weights(1, 1, 2), PARAMETERS[:3])

    assert words == "norms of layers relative to the reference's: layer1.weight 2, layer2.weight 1.5"


def test_equal_norms_point_to_other_random_draws() -> None:
    words = norms_in_words(weights(1, -1), weights(1, 1), PARAMETERS[:2])

    assert words == "every layer has the reference's norm: other random draws of the same initialisation"


def test_a_layer_that_should_be_zero_is_named() -> None:
    assert norms_in_words(weights(1), weights(0), PARAMETERS[:1]).endswith("layer0.weight not zero")


def test_of_many_layers_the_first_four_are_named() -> None:
    assert norms_in_words(weights(*[2] * 6), weights(*[1] * 6), PARAMETERS).endswith("layer3.weight 2, and 2 more")


def test_weights_that_are_not_those_of_the_layers_say_nothing() -> None:
    assert norms_in_words(weights(1, 2), weights(1, 1), PARAMETERS[:1]) == ""

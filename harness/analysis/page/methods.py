"""Methods of a report: each with its formula, its meaning, and the publication that it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from harness.config import StatisticsConfig

__all__ = ["Method", "methods"]


@dataclass(frozen=True)
class Method:
    """A method with its formula in Unicode and its source."""

    name: str
    formula: str
    meaning: str
    source: str
    link: str
    """Address of the source; nothing is loaded from it."""


def methods(statistics: StatisticsConfig) -> tuple[Method, ...]:
    """Return the methods behind the numbers of a report, in the order in which it uses them."""
    percent = f"{100 * statistics.confidence:g}%"
    level = f"{1 - statistics.confidence:.2g}"
    return (
        Method(
            "Score of a run",
            "s = (1/E) Σₑ Gₑ",
            "Mean return of the deterministic episodes of the final evaluation: one number for each seed. Seeds are "
            "the unit of every test below; episodes and time steps of one run are not independent.",
            "Henderson et al. 2018, Deep reinforcement learning that matters",
            "https://arxiv.org/abs/1709.06560",
        ),
        Method(
            "Interval of a mean",
            "x̄ ± t(n−1, 1−α/2) · s / √n",
            f"Student's t interval at {percent}. It is right for nearly normal scores; the table of coverage states "
            "how far it falls short for others.",
            "Student 1908, Biometrika 6, 1–25",
            "https://doi.org/10.1093/biomet/6.1.1",
        ),
        Method(
            "Interquartile mean",
            "IQM = mean of the middle n − 2⌊n/4⌋ scores",
            f"Mean without the lowest and the highest quarter of the seeds, with a percentile bootstrap of "
            f"{statistics.n_bootstrap:,} resamples at {percent}.",
            "Agarwal et al. 2021, Deep RL at the edge of the statistical precipice",
            "https://arxiv.org/abs/2108.13264",
        ),
        Method(
            "Test of a difference",
            "t = (x̄ − ȳ) / √(sₓ²/n + s_y²/m);  p = #{splits: |t| ≥ |t observed|} / C(n+m, n)",
            "Two-sided permutation test over all ways to exchange the labels of the seeds, or over 99,999 random ones "
            "if there are more than 200,000. It needs no normal scores.",
            "Janssen 1997, Statistics & Probability Letters 36, 9–21",
            "https://doi.org/10.1016/S0167-7152(97)00043-6",
        ),
        Method(
            "Adjustment for several tests",
            "p̃₍ᵢ₎ = max over j ≤ i of min(1, (k − j + 1) · p₍ⱼ₎)",
            f"Holm's method over all tests of a family: the probability of any wrong claim in it is at most {level}.",
            "Holm 1979, Scandinavian Journal of Statistics 6, 65–70",
            "https://www.jstor.org/stable/4615733",
        ),
        Method(
            "Probability of improvement",
            "θ = P(X > Y) + P(X = Y)/2, estimated by U / (n m)",
            f"How likely a new seed of the first algorithm scores higher than one of the second, with Newcombe's score "
            f"interval at {percent}. Better and worse need an interval without 1/2, as well as the test above.",
            "Newcombe 2006, Statistics in Medicine 25, 559–573",
            "https://doi.org/10.1002/sim.2324",
        ),
        Method(
            "Over environments",
            "normalised score = (s − random) / (best − random);  T = Σ dₘ / √(Σ seₘ²),  dₘ = x̄ₘ − ȳₘ",
            "Aggregates of normalised scores over tasks that count equally; intervals by a bootstrap of the seeds "
            "within each task. A pair is tested by exchanging labels within each task, and adjusted by Holm's method "
            "over all pairs. The interval of the probability of improvement combines Newcombe's of each task.",
            "Agarwal et al. 2021, sections 4.1 to 4.3; Zou and Donner 2008, Statistics in Medicine 27, 1693–1702",
            "https://arxiv.org/abs/2108.13264",
        ),
        Method(
            "Test of ranks",
            "H₀: θ = 1/2, whatever the spreads of both sides",
            "Asks whether the typical seed of one side scores higher. Where it disagrees with the test of means, a few "
            "seeds decide the mean.",
            "Brunner and Munzel 2000, Biometrical Journal 42, 17–25",
            "https://doi.org/10.1002/(SICI)1521-4036(200001)42:1%3C17::AID-BIMJ17%3E3.0.CO;2-U",
        ),
        Method(
            "Hedges' g",
            "g = J(ν) · (x̄ − ȳ) / s pooled,  J(ν) = Γ(ν/2) / (√(ν/2) Γ((ν−1)/2)),  ν = n + m − 2",
            "Difference in pooled standard deviations (ddof 1), corrected for few seeds.",
            "Hedges 1981, Journal of Educational Statistics 6, 107–128",
            "https://doi.org/10.3102/10769986006002107",
        ),
        Method(
            "Cliff's delta",
            "δ = P(X > Y) − P(X < Y) = 2 A − 1,  A = θ",
            "The probability of improvement on a scale from −1 to 1; A is Vargha and Delaney's.",
            "Cliff 1993, Psychological Bulletin 114, 494–509",
            "https://doi.org/10.1037/0033-2909.114.3.494",
        ),
        Method(
            "Common seeds",
            "r = corr(xᵢ, yᵢ);  p = #{signs: |Σ ±dᵢ| ≥ |Σ dᵢ|} / 2ⁿ,  dᵢ = xᵢ − yᵢ",
            "Correlation of the scores under one seed, and the test of flipped signs. Both are shown, and decide "
            "nothing: below six pairs that test can reject nothing, and nobody knows r before the runs.",
            "Pitman 1937, Supplement to the Journal of the Royal Statistical Society 4, 119–130",
            "https://doi.org/10.2307/2984124",
        ),
        Method(
            "Equivalence",
            f"H₀: |μₓ − μ_y| ≥ Δ,  Δ = {statistics.equivalence_margin:g} · |best − random|",
            "Two one-sided tests that grant each side one more score than it has seeds, the worst possible one: a "
            "collapse that no seed showed is not excluded by a lack of variance. Without declared reference scores "
            "there is no margin, and nothing is called equivalent.",
            "Gaffke 2005, Mathematical Methods of Statistics 14; Schuirmann 1987 for the two tests",
            "https://doi.org/10.1007/BF01068419",
        ),
        Method(
            "Identical",
            "SHA-256(parameters of x) = SHA-256(parameters of y) for every seed",
            "Names, shapes and bytes of the trained policy are equal. This is a proof for these runs, not a test.",
            "FIPS 180-4",
            "https://doi.org/10.6028/NIST.FIPS.180-4",
        ),
        Method(
            "Failure rate",
            "(p̂ + z²/2n ± z √(p̂(1−p̂)/n + z²/4n²)) / (1 + z²/n)",
            f"Share of failed runs with Wilson's interval at {percent}.",
            "Wilson 1927, Journal of the American Statistical Association 22, 209–212",
            "https://doi.org/10.1080/01621459.1927.10502953",
        ),
        Method(
            "Steadiness",
            "fluctuation² = variance between stretches of the training − trend − variance of single episodes",
            "Movement of the policy's mean return beyond learning and beyond luck; falls count if they exceed 3.5 "
            "standard errors. Spread over seeds is tested by the distance of each score from its median.",
            "Chan et al. 2020, Measuring the reliability of RL algorithms; Brown and Forsythe 1974, JASA 69, 364–367",
            "https://arxiv.org/abs/1912.05663",
        ),
        Method(
            "Steps to the threshold",
            "S(t) = ∏ over tₖ ≤ t of (1 − dₖ/nₖ);  aᵢ = reachedᵢ − Σ over tₖ ≤ tᵢ of dₖ/nₖ",
            "Kaplan and Meier's share of runs that have not reached it, in which runs that never do count with all "
            f"their steps; its median with Brookmeyer and Crowley's limits at {percent}; permutation test of the "
            "logrank scores a.",
            "Kaplan and Meier 1958, JASA 53, 457–481; Peto and Peto 1972, JRSS A 135, 185–207",
            "https://doi.org/10.1080/01621459.1958.10501452",
        ),
        Method(
            "Self-test",
            "#{families with a wrong claim} / K",
            "The whole rule on the runs of this report after their labels were exchanged, and on halves of the seeds "
            f"of each algorithm, with Wilson's interval at {percent}. Above {level} the rule claims too much on scores "
            "like these.",
            "Wilson 1927, Journal of the American Statistical Association 22, 209–212",
            "https://doi.org/10.1080/01621459.1927.10502953",
        ),
        Method(
            "Seeds needed",
            "smallest n with power ≥ 80% at Holm's strictest level α/k, for the difference and spread that were seen",
            "An estimate from few seeds and thus uncertain itself: take it for an order of magnitude.",
            "Colas et al. 2018, How many random seeds?",
            "https://arxiv.org/abs/1806.08295",
        ),
    )

/* PPO's loss of one minibatch and its gradient (custom_ppo/losses.py has the equations as PyTorch code).
 *
 *     ratio = pi(a|s) / pi_old(a|s) = exp(log_prob - old_log_prob)
 *     loss  = -mean(objective) - ent_coef * mean(entropy) + vf_coef * mean((return - V)^2)      minus eq. 9
 */
#include "kernels.h"

/* (A - mean A) / (std A + 1e-8); one single advantage stays as it is, as its deviation is not defined. */
void normalize_advantages(float *advantages, int64_t n) {
    if (n < 2)
        return;
    float center = mean(advantages, n), scale = standard_deviation(advantages, n) + (float)1e-8;
    for (int64_t i = 0; i < n; ++i)
        advantages[i] = (advantages[i] - center) / scale;
}

static float clamp(float x, float low, float high) { /* at::clamp; NaN stays NaN */
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* Objective of every transition, to be maximised: eq. 7 (clip), eq. 8 (penalty), or that of A2C. */
static void objectives(Minibatch *batch, const Numbers *numbers, float *objective) {
    float low = (float)(1 - numbers->clip_range), high = (float)(1 + numbers->clip_range), beta = (float)numbers->beta;
    const float *advantages = batch->advantages;
    for (int i = 0; i < batch->n; ++i) {
        float ratio = batch->ratio[i], log_ratio = batch->log_ratio[i];
        if (numbers->objective == CLIPPED_SURROGATE) {
            float free = advantages[i] * ratio, clipped = advantages[i] * clamp(ratio, low, high);
            batch->unclipped[i] = free;
            batch->clipped[i] = clipped;
            objective[i] = free < clipped || free != free ? free : clipped;
        } else if (numbers->objective == KL_PENALTY) {
            objective[i] = advantages[i] * ratio - beta * ((ratio - 1.0f) - log_ratio);
        } else {
            objective[i] = advantages[i] * batch->log_prob[i];
        }
    }
}

/* Values that are compared with the returns: free, or moved at most clip_range_vf from those of the old critic. */
static void judged_values(Minibatch *batch, const Numbers *numbers) {
    float limit = (float)numbers->clip_range_vf;
    for (int i = 0; i < batch->n; ++i) {
        float value = batch->values[i], judged = value;
        if (numbers->value_clipping != FREE_VALUES) {
            batch->moved[i] = value - batch->old_values[i];
            judged = batch->old_values[i] + clamp(batch->moved[i], -limit, limit);
        }
        float error = fabsf(batch->returns[i] - value), error_if_clipped = fabsf(batch->returns[i] - judged);
        if (numbers->value_clipping == PESSIMISTIC_VALUES && error >= error_if_clipped)
            judged = value;
        batch->judged[i] = judged;
    }
}

/* log_prob, entropy and values of the minibatch are known; the rest of its arrays is filled. */
Terms loss_terms(Minibatch *batch, const Numbers *numbers, bool has_entropy) {
    int n = batch->n;
    float *work = batch->scratch, clip_range = (float)numbers->clip_range;
    Terms terms;
    if (numbers->normalize_advantage)
        normalize_advantages(batch->advantages, n);
    for (int i = 0; i < n; ++i)
        batch->log_ratio[i] = batch->log_prob[i] - batch->old_log_prob[i];
    vml_exp(n, batch->log_ratio, batch->ratio);
    objectives(batch, numbers, work);
    terms.policy_loss = -mean(work, n);

    judged_values(batch, numbers);
    for (int i = 0; i < n; ++i) {
        float error = batch->returns[i] - batch->judged[i];
        work[i] = error * error;
    }
    terms.value_loss = mean(work, n);
    if (numbers->half_value_loss)
        terms.value_loss = 0.5f * terms.value_loss;

    /* Without a closed form, the entropy is estimated by -log pi(a|s). */
    if (!has_entropy)
        for (int i = 0; i < n; ++i)
            batch->entropy[i] = -batch->log_prob[i];
    terms.entropy_loss = -mean(batch->entropy, n);

    for (int i = 0; i < n; ++i)
        work[i] = fabsf(batch->ratio[i] - 1.0f) > clip_range ? 1.0f : 0.0f;
    terms.clip_fraction = mean(work, n);
    for (int i = 0; i < n; ++i)
        work[i] = (batch->ratio[i] - 1.0f) - batch->log_ratio[i];
    terms.approx_kl = mean(work, n);
    float ent_coef = (float)numbers->ent_coef, vf_coef = (float)numbers->vf_coef;
    terms.loss = (terms.policy_loss + ent_coef * terms.entropy_loss) + vf_coef * terms.value_loss;
    return terms;
}

/* d objective / d log_prob, times minus = -1 / n. */
static float policy_gradient(const Minibatch *batch, const Numbers *numbers, int i, float minus) {
    float ratio = batch->ratio[i], advantage = batch->advantages[i];
    if (numbers->objective == LOG_PROB_SURROGATE)
        return minus * advantage;
    if (numbers->objective == KL_PENALTY) { /* ratio collects two gradients, and so does its logarithm */
        float by_kl = -minus * (float)numbers->beta;
        return -by_kl + (by_kl + minus * advantage) * ratio;
    }
    /* At equal branches, at::minimum gives each half of the gradient; the clamp passes its half inside its bounds. */
    float low = (float)(1 - numbers->clip_range), high = (float)(1 + numbers->clip_range);
    float inside = ratio >= low && ratio <= high ? 1.0f : 0.0f;
    float free = batch->unclipped[i], clipped = batch->clipped[i];
    float share = (free < clipped ? 1.0f : 0.0f) + (free == clipped ? 1.0f : 0.0f) * (0.5f + 0.5f * inside);
    return share * minus * advantage * ratio;
}

/* d value_loss / d V, from at::mse_loss_backward: 2 / n * (V - return) * vf_coef.
 * at::clamp passes the gradient at its bounds, too. */
static float value_gradient(const Minibatch *batch, const Numbers *numbers, int i) {
    float limit = (float)numbers->clip_range_vf, weight = (float)numbers->vf_coef;
    if (numbers->half_value_loss)
        weight = weight * 0.5f;
    float grad = (float)(2.0 / (double)batch->n) * (batch->judged[i] - batch->returns[i]) * weight;
    if (numbers->value_clipping == FREE_VALUES)
        return grad;
    if (numbers->value_clipping == PESSIMISTIC_VALUES && batch->judged[i] == batch->values[i])
        return grad;
    return grad * (batch->moved[i] >= -limit && batch->moved[i] <= limit ? 1.0f : 0.0f);
}

void loss_gradient(Minibatch *batch, const Numbers *numbers, bool has_entropy, float *grad_entropy) {
    float minus = (float)(-1.0 / (double)batch->n), by_entropy = (float)-numbers->ent_coef / (float)batch->n;
    for (int i = 0; i < batch->n; ++i) {
        batch->grad_log_prob[i] = policy_gradient(batch, numbers, i, minus);
        if (!has_entropy)
            batch->grad_log_prob[i] = batch->grad_log_prob[i] - by_entropy;
        batch->grad_values[i] = value_gradient(batch, numbers, i);
    }
    *grad_entropy = has_entropy ? by_entropy : 0.0f;
}

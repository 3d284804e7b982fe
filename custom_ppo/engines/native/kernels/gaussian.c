/* Independent normal distributions, for Box actions: means [n, k], and log_std [k], the same in every state.
 *
 *     log pi(a|s) = sum -(a - mean)^2 / (2 std^2) - log std - log sqrt(2 pi)
 *     custom_ppo/distributions.py, DiagGaussian
 */
#include "kernels.h"

static const float LOG_SQRT_2PI = 0.9189385332046727f;
static const float ENTROPY_OF_ONE = 1.4189385332046727f; /* 1/2 + 1/2 log(2 pi), the entropy of std = 1 */

Normals new_normals(Learner *learner, int n_components) {
    int64_t size = capacity_of(learner) * n_components;
    return (Normals){
        .k = n_components,
        .std = new_floats(learner, size),
        .log_std = new_floats(learner, size),
        .distance = new_floats(learner, size),
        .minus_square = new_floats(learner, size),
        .twice_variance = new_floats(learner, size),
        .work = new_floats(learner, size),
    };
}

/* actions [n, k] -> log_prob [n], and entropy [n] = sum 1/2 + 1/2 log(2 pi) + log std */
void normals_evaluate(Normals *normals, const float *means, const float *actions, int n, float *log_prob,
                      float *entropy) {
    int64_t size = (int64_t)n * normals->k;
    vml_log(size, normals->std, normals->log_std);
    for (int64_t i = 0; i < size; ++i) {
        float std = normals->std[i], distance = actions[i] - means[i];
        normals->distance[i] = distance;
        normals->minus_square[i] = -(distance * distance);
        normals->twice_variance[i] = 2.0f * (std * std);
        normals->work[i] = normals->minus_square[i] / normals->twice_variance[i] - normals->log_std[i] - LOG_SQRT_2PI;
    }
    sum_over_columns(normals->work, n, normals->k, log_prob);
    if (!entropy)
        return;
    for (int64_t i = 0; i < size; ++i)
        normals->work[i] = ENTROPY_OF_ONE + normals->log_std[i];
    sum_over_columns(normals->work, n, normals->k, entropy);
}

/* By the chain rule through every operation of `normals_evaluate`. std collects three gradients, in the reverse order of
 * its uses: the entropy's logarithm, that of the density, the variance. */
void normals_gradients(const Normals *normals, const float *grad_log_prob, float grad_entropy, int n, float *grad_means,
                       float *grad_std) {
    int k = normals->k;
    for (int64_t i = 0; i < (int64_t)n * k; ++i) {
        float grad = grad_log_prob[i / k], std = normals->std[i], variance = normals->twice_variance[i];
        float by_square = -(grad / variance);
        float by_variance = -grad * ((normals->minus_square[i] / variance) / variance) * 2.0f;
        float by_std = -grad / std;
        if (grad_entropy != 0)
            by_std = grad_entropy / std + by_std;
        grad_std[i] = by_std + by_variance * (2.0f * std);
        grad_means[i] = -(by_square * (2.0f * normals->distance[i]));
    }
}

typedef struct {
    const float *log_std; /* [k] */
    float *grad_log_std;
    float *exp_log_std; /* [k] */
    Normals normals;
} Gaussian;

/* std = ones * exp(log_std) */
static void set_standard_deviations(Gaussian *own, int n, int k) {
    vml_exp(k, own->log_std, own->exp_log_std);
    for (int i = 0; i < n; ++i)
        memcpy(own->normals.std + (int64_t)i * k, own->exp_log_std, (size_t)k * sizeof(float));
}

/* noise: standard normal, [n, k] */
static bool sample(Head *head, const float *outputs, int n, const float *noise, void *actions, float *log_prob) {
    Gaussian *own = head->own;
    int k = head->n_outputs;
    float *chosen = actions;
    set_standard_deviations(own, n, k);
    for (int64_t i = 0; i < (int64_t)n * k; ++i)
        chosen[i] = outputs[i] + noise[i] * own->normals.std[i];
    normals_evaluate(&own->normals, outputs, chosen, n, log_prob, NULL);
    return true; /* at::normal_ draws from NaN too; the rollout is checked when it is complete */
}

static void evaluate(Head *head, const float *outputs, const float *actions, int n, float *log_prob, float *entropy) {
    Gaussian *own = head->own;
    set_standard_deviations(own, n, head->n_outputs);
    normals_evaluate(&own->normals, outputs, actions, n, log_prob, entropy);
}

static void backward(Head *head, const float *grad_log_prob, float grad_entropy, int n, float *grad_outputs) {
    Gaussian *own = head->own;
    int k = head->n_outputs;
    normals_gradients(&own->normals, grad_log_prob, grad_entropy, n, grad_outputs, own->normals.work);
    sum_over_rows(own->normals.work, n, k, own->grad_log_std);
    for (int j = 0; j < k; ++j)
        own->grad_log_std[j] = own->grad_log_std[j] * own->exp_log_std[j];
}

EXPORT void learner_add_gaussian(Learner *learner, int n_components, const float *log_std, float *grad_log_std) {
    Gaussian *own = new_bytes(learner, sizeof *own);
    *own = (Gaussian){
        .log_std = log_std,
        .grad_log_std = grad_log_std,
        .exp_log_std = new_floats(learner, n_components),
        .normals = new_normals(learner, n_components),
    };
    *head_of(learner) = (Head){
        .n_outputs = n_components,
        .n_actions = n_components,
        .has_entropy = true,
        .sample = sample,
        .evaluate = evaluate,
        .backward = backward,
        .own = own,
    };
}

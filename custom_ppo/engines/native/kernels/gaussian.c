/* Independent normal distributions, for Box actions: means [n, k], and log_std [k], the same in every state.
 *
 *     log pi(a|s) = sum -(a - mean)^2 / (2 std^2) - log std - log sqrt(2 pi)      custom_ppo/distributions.py, DiagGaussian
 */
#include "kernels.h"

typedef struct {
    const float *log_std; /* [k] */
    float *grad_log_std;
    float *exp_log_std;                                         /* [k] */
    float *std, *log_of_std, *distance, *minus_square, *twice_variance, *work; /* [n, k] */
} Gaussian;

static const float LOG_SQRT_2PI = 0.9189385332046727f, ENTROPY_OF_ONE = 1.4189385332046727f; /* entropy where std is 1 */

/* std = ones * exp(log_std), and its logarithm: log(exp(x)) is not x in the last bit. */
static void standard_deviations(Gaussian *own, int n, int k) {
    vml_exp(k, own->log_std, own->exp_log_std);
    for (int i = 0; i < n; ++i)
        memcpy(own->std + (int64_t)i * k, own->exp_log_std, (size_t)k * sizeof(float));
    vml_log((int64_t)n * k, own->std, own->log_of_std);
}

static bool sample(Head *head, const float *outputs, int n, const float *noise, void *actions, float *log_prob) {
    Gaussian *own = head->own;
    int k = head->n_outputs;
    float *chosen = actions;
    bool finite = true;
    standard_deviations(own, n, k);
    for (int64_t i = 0; i < (int64_t)n * k; ++i) {
        float std = own->std[i];
        chosen[i] = outputs[i] + noise[i] * std;
        float distance = chosen[i] - outputs[i];
        own->work[i] = -(distance * distance) / (2.0f * (std * std)) - own->log_of_std[i] - LOG_SQRT_2PI;
        finite = finite && isfinite(outputs[i]) && isfinite(std);
    }
    sum_over_columns(own->work, n, k, log_prob);
    return finite;
}

static void evaluate(Head *head, const float *outputs, const float *actions, int n, float *log_prob, float *entropy) {
    Gaussian *own = head->own;
    int k = head->n_outputs;
    standard_deviations(own, n, k);
    for (int64_t i = 0; i < (int64_t)n * k; ++i) {
        float std = own->std[i], distance = actions[i] - outputs[i];
        own->distance[i] = distance;
        own->minus_square[i] = -(distance * distance);
        own->twice_variance[i] = 2.0f * (std * std);
        own->work[i] = own->minus_square[i] / own->twice_variance[i] - own->log_of_std[i] - LOG_SQRT_2PI;
    }
    sum_over_columns(own->work, n, k, log_prob);
    for (int64_t i = 0; i < (int64_t)n * k; ++i)
        own->work[i] = ENTROPY_OF_ONE + own->log_of_std[i];
    sum_over_columns(own->work, n, k, entropy);
}

/* By the chain rule through every operation of `evaluate`, in autograd's order; std collects three gradients. */
static void backward(Head *head, const float *grad_log_prob, float grad_entropy, int n, float *grad_outputs) {
    Gaussian *own = head->own;
    int k = head->n_outputs;
    for (int64_t i = 0; i < (int64_t)n * k; ++i) {
        float grad = grad_log_prob[i / k], std = own->std[i], variance = own->twice_variance[i];
        float by_square = -(grad / variance);
        float by_variance = -grad * ((own->minus_square[i] / variance) / variance) * 2.0f;
        float by_std = -grad / std;
        if (grad_entropy != 0)
            by_std = grad_entropy / std + by_std;
        own->work[i] = by_std + by_variance * (2.0f * std);
        grad_outputs[i] = -(by_square * (2.0f * own->distance[i]));
    }
    sum_over_rows(own->work, n, k, own->grad_log_std);
    for (int j = 0; j < k; ++j)
        own->grad_log_std[j] = own->grad_log_std[j] * own->exp_log_std[j];
}

EXPORT void learner_add_gaussian(Learner *learner, int n_components, const float *log_std, float *grad_log_std) {
    int64_t size = capacity_of(learner) * n_components;
    Gaussian *own = new_bytes(learner, sizeof *own);
    *own = (Gaussian){
        .log_std = log_std,
        .grad_log_std = grad_log_std,
        .exp_log_std = new_floats(learner, n_components),
        .std = new_floats(learner, size),
        .log_of_std = new_floats(learner, size),
        .distance = new_floats(learner, size),
        .minus_square = new_floats(learner, size),
        .twice_variance = new_floats(learner, size),
        .work = new_floats(learner, size),
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

/* Independent switches, for MultiBinary actions: log-odds of "on" [n, k] -> k numbers, each 0 or 1.
 *
 *     log pi(a|s) = -sum H(a, p),  p = sigmoid(logits)      custom_ppo/distributions.py, Bernoulli
 *     H(t, p)     = (1 - t) logits - log sigmoid(logits)    the cross entropy of t and p
 */
#include "kernels.h"

typedef struct {
    float *logits, *actions, *probabilities, *log_probabilities, *work; /* [n, k] */
} Bernoulli;

/* log_sigmoid_cpu_kernel (Activation.cpp): min(x, 0) - log1p(exp(-|x|)), in vectors to the end */
static void log_sigmoid(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; ++i)
        y[i] = -fabsf(x[i]);
    sleef_exp(n, y, y);
    sleef_log1p(n, y, y);
    for (int64_t i = 0; i < n; ++i)
        y[i] = (x[i] < 0 ? x[i] : 0.0f) - y[i];
}

static void set_probabilities(Bernoulli *own, int64_t n, const float *logits) {
    activate(SIGMOID, 0, n, logits, own->probabilities);
    log_sigmoid(n, logits, own->log_probabilities);
}

/* -log_prob or the entropy of n states: the sum of at::binary_cross_entropy_with_logits(logits, targets). */
static void cross_entropy(Bernoulli *own, const float *logits, const float *targets, int n, int k, float *out) {
    for (int64_t i = 0; i < (int64_t)n * k; ++i)
        own->work[i] = (1.0f - targets[i]) * logits[i] - own->log_probabilities[i];
    sum_over_columns(own->work, n, k, out);
}

/* noise: uniform in [0, 1), [n, k]; at::bernoulli compares it with the probabilities (DistributionTemplates.h) */
static bool sample(Head *head, const float *outputs, int n, const float *noise, void *actions, float *log_prob) {
    Bernoulli *own = head->own;
    int k = head->n_outputs;
    float *chosen = actions;
    bool possible = true;
    set_probabilities(own, (int64_t)n * k, outputs);
    for (int64_t i = 0; i < (int64_t)n * k; ++i) {
        chosen[i] = noise[i] < own->probabilities[i] ? 1.0f : 0.0f;
        possible = possible && own->probabilities[i] == own->probabilities[i];
    }
    cross_entropy(own, outputs, chosen, n, k, log_prob);
    for (int i = 0; i < n; ++i)
        log_prob[i] = -log_prob[i];
    return possible;
}

static void evaluate(Head *head, const float *outputs, const float *actions, int n, float *log_prob, float *entropy) {
    Bernoulli *own = head->own;
    int k = head->n_outputs;
    size_t size = (size_t)n * (size_t)k * sizeof(float);
    memcpy(own->logits, outputs, size);
    memcpy(own->actions, actions, size);
    set_probabilities(own, (int64_t)n * k, outputs);
    cross_entropy(own, outputs, actions, n, k, log_prob);
    for (int i = 0; i < n; ++i)
        log_prob[i] = -log_prob[i];
    cross_entropy(own, outputs, own->probabilities, n, k, entropy);
}

/* binary_cross_entropy_with_logits_backward, and sigmoid_backward of the gradient by the entropy's targets. By its
 * logits the entropy has the gradient p - p = 0. */
static void backward(Head *head, const float *grad_log_prob, float grad_entropy, int n, float *grad_outputs) {
    Bernoulli *own = head->own;
    int k = head->n_outputs;
    for (int64_t i = 0; i < (int64_t)n * k; ++i) {
        float p = own->probabilities[i];
        float by_action = (p - own->actions[i]) * -grad_log_prob[i / k];
        float by_entropy = grad_entropy * -own->logits[i] * (1.0f - p) * p;
        grad_outputs[i] = grad_entropy != 0 ? by_entropy + by_action : by_action;
    }
}

EXPORT void learner_add_bernoulli(Learner *learner, int n_switches) {
    int64_t size = capacity_of(learner) * n_switches;
    Bernoulli *own = new_bytes(learner, sizeof *own);
    *own = (Bernoulli){
        .logits = new_floats(learner, size),
        .actions = new_floats(learner, size),
        .probabilities = new_floats(learner, size),
        .log_probabilities = new_floats(learner, size),
        .work = new_floats(learner, size),
    };
    *head_of(learner) = (Head){
        .n_outputs = n_switches,
        .n_actions = n_switches,
        .has_entropy = true,
        .sample = sample,
        .evaluate = evaluate,
        .backward = backward,
        .own = own,
    };
}

/* Categorical distribution, for Discrete actions: logits [n, k] -> one of k choices.
 *
 *     log pi(a|s) = logits_a - log sum exp(logits)      custom_ppo/distributions.py, Categorical
 */
#include "kernels.h"

typedef struct {
    float *logits, *log_sum;       /* normalised logits [n, k], and the log sum exp that was taken off [n] */
    float *probabilities, *bounded; /* softmax of the logits, and the logits, at least the smallest float32 */
    float *raw, *work, *row;
    int32_t *choices;
} Categorical;

static const float SMALLEST = -3.4028234663852886e38f; /* torch.finfo(torch.float32).min */

/* logits - logits.logsumexp(-1): the greatest logit is taken off first (logsumexp_out_impl, ReduceOps.cpp). */
static void normalised_logits(Categorical *own, const float *raw, int n, int k) {
    float *exps = own->work, *log_sum = own->log_sum;
    for (int i = 0; i < n; ++i) {
        float most = largest(raw + (int64_t)i * k, k);
        log_sum[i] = isinf(most) ? 0.0f : most;
        for (int j = 0; j < k; ++j)
            exps[i * k + j] = raw[i * k + j] - log_sum[i];
    }
    vml_exp((int64_t)n * k, exps, exps);
    sum_over_columns(exps, n, k, own->row);
    vml_log(n, own->row, own->row);
    for (int i = 0; i < n; ++i) {
        log_sum[i] = own->row[i] + log_sum[i];
        for (int j = 0; j < k; ++j)
            own->logits[i * k + j] = raw[i * k + j] - log_sum[i];
    }
}

/* vec_softmax_lastdim (SoftMaxKernel.cpp) of the normalised logits. */
static void probabilities(Categorical *own, int n, int k) {
    float *p = own->probabilities;
    for (int i = 0; i < n; ++i) {
        float most = largest(own->logits + (int64_t)i * k, k);
        for (int j = 0; j < k; ++j)
            p[i * k + j] = own->logits[i * k + j] - most;
    }
    sleef_exp((int64_t)n * k, p, p);
    for (int i = 0; i < n; ++i) {
        float inverse = 1.0f / reduced_sum(p + (int64_t)i * k, k);
        for (int j = 0; j < k; ++j)
            p[i * k + j] = p[i * k + j] * inverse;
    }
}

/* torch.multinomial(probs, 1): argmax of probs / e (Distributions.cpp).  noise: e, exponentially distributed, [n, k] */
static bool sample(Head *head, const float *outputs, int n, const float *noise, void *actions, float *log_prob) {
    Categorical *own = head->own;
    int k = head->n_outputs;
    bool finite = true;
    int64_t *chosen = actions;
    normalised_logits(own, outputs, n, k);
    probabilities(own, n, k);
    for (int i = 0; i < n; ++i) {
        const float *p = own->probabilities + (int64_t)i * k, *e = noise + (int64_t)i * k;
        int best = 0;
        for (int j = 0; j < k; ++j) {
            finite = finite && isfinite(p[j]);
            if (p[j] / e[j] > p[best] / e[best])
                best = j;
        }
        chosen[i] = best;
        log_prob[i] = own->logits[i * k + best];
    }
    return finite;
}

/* entropy = -sum(p log p), where an impossible action counts as 0 and not as NaN */
static void evaluate(Head *head, const float *outputs, const float *actions, int n, float *log_prob, float *entropy) {
    Categorical *own = head->own;
    int k = head->n_outputs;
    own->raw = (float *)outputs;
    normalised_logits(own, outputs, n, k);
    probabilities(own, n, k);
    for (int64_t i = 0; i < (int64_t)n * k; ++i) {
        own->bounded[i] = own->logits[i] < SMALLEST ? SMALLEST : own->logits[i];
        own->work[i] = own->bounded[i] * own->probabilities[i];
    }
    sum_over_columns(own->work, n, k, entropy);
    for (int i = 0; i < n; ++i) {
        own->choices[i] = (int32_t)actions[i];
        entropy[i] = -entropy[i];
        log_prob[i] = own->logits[i * k + own->choices[i]];
    }
}

/* d loss / d logits by the entropy of one state: softmax_backward of (e * bounded), and e * p where the clamp passes it. */
static void add_entropy_gradient(float *grad, const float *logits, const float *bounded, const float *p, float e, int k,
                                 float *by_p) {
    for (int j = 0; j < k; ++j)
        by_p[j] = e * bounded[j];
    float total = reduced_dot(by_p, p, k);
    for (int j = 0; j < k; ++j) {
        float by_bounded = (e * p[j]) * (logits[j] >= SMALLEST ? 1.0f : 0.0f);
        grad[j] = ((by_p[j] - total) * p[j] + by_bounded) + grad[j];
    }
}

/* Autograd adds the gradients in the reverse order of their making: softmax, clamp, gather. */
static void backward(Head *head, const float *grad_log_prob, float grad_entropy, int n, float *grad_outputs) {
    Categorical *own = head->own;
    int k = head->n_outputs;
    float *grad = own->work;
    memset(grad, 0, (size_t)n * (size_t)k * sizeof(float));
    for (int i = 0; i < n; ++i) {
        int64_t at = (int64_t)i * k;
        grad[at + own->choices[i]] += grad_log_prob[i];
        if (grad_entropy != 0) /* entropy = -sum(...): the minus is moved into the factor */
            add_entropy_gradient(grad + at, own->logits + at, own->bounded + at, own->probabilities + at, -grad_entropy,
                                 k, own->row);
    }
    /* logits = raw - log_sum, and d log_sum / d raw = exp(raw - log_sum). */
    for (int64_t i = 0; i < (int64_t)n * k; ++i)
        grad_outputs[i] = -grad[i];
    sum_over_columns(grad_outputs, n, k, own->row);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j)
            own->bounded[i * k + j] = own->raw[i * k + j] - own->log_sum[i];
    vml_exp((int64_t)n * k, own->bounded, own->bounded);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j)
            grad_outputs[i * k + j] = grad[i * k + j] + own->row[i] * own->bounded[i * k + j];
}

Head new_categorical(Learner *learner, int n_choices) {
    int64_t n = capacity_of(learner), size = n * n_choices;
    Categorical *own = new_bytes(learner, sizeof *own);
    *own = (Categorical){
        .logits = new_floats(learner, size),
        .log_sum = new_floats(learner, n),
        .probabilities = new_floats(learner, size),
        .bounded = new_floats(learner, size),
        .work = new_floats(learner, size),
        .row = new_floats(learner, n > n_choices ? n : n_choices),
        .choices = new_bytes(learner, n * (int64_t)sizeof(int32_t)),
    };
    int32_t *known = new_bytes(learner, sizeof *known);
    *known = n_choices;
    return (Head){
        .n_outputs = n_choices,
        .n_actions = 1,
        .integers = true,
        .has_entropy = true,
        .n_choices = known,
        .sample = sample,
        .evaluate = evaluate,
        .backward = backward,
        .own = own,
    };
}

EXPORT void learner_add_categorical(Learner *learner, int n_choices) {
    *head_of(learner) = new_categorical(learner, n_choices);
}

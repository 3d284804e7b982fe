/* Independent categorical distributions, for MultiDiscrete actions: logits [n, k_1 + k_2 + ...] -> one choice of each.
 *
 *     log pi(a|s) = sum over the components of log pi_i(a_i|s)      custom_ppo/distributions.py, MultiCategorical
 *
 * Log-probabilities and entropies are columns of torch.stack(..., dim=1), which are summed over dim 1.
 */
#include "kernels.h"

typedef struct {
    int n_parts;
    Head *parts;
    float *logits;                /* of all parts, one after the other: [n, k_1], [n, k_2], ... */
    float *actions, *grad;        /* of one part: [n] and [n, k_i] */
    int64_t *choices;             /* of one part, [n] */
    float *log_prob, *entropy;    /* of one part, [n] */
    float *log_probs, *entropies; /* of all parts, [n, n_parts] */
} MultiCategorical;

/* Columns `first` to `first + width` of from [n, columns] -> to [n, width], as torch.split. */
static void take_columns(const float *from, int columns, int first, int width, int n, float *to) {
    for (int64_t i = 0; i < n; ++i)
        memcpy(to + i * width, from + i * columns + first, (size_t)width * sizeof(float));
}

static void put_columns(const float *from, int columns, int first, int width, int n, float *to) {
    for (int64_t i = 0; i < n; ++i)
        memcpy(to + i * columns + first, from + i * width, (size_t)width * sizeof(float));
}

/* noise: exponentially distributed; [n, k_1], then [n, k_2], ..., one draw for each component in order */
static bool sample(Head *head, const float *outputs, int n, const float *noise, void *actions, float *log_prob) {
    MultiCategorical *own = head->own;
    int64_t *chosen = actions;
    bool possible = true;
    for (int part = 0, first = 0; part < own->n_parts; ++part) {
        Head *categorical = &own->parts[part];
        int k = categorical->n_outputs;
        take_columns(outputs, head->n_outputs, first, k, n, own->logits);
        possible = categorical->sample(categorical, own->logits, n, noise, own->choices, own->log_prob) && possible;
        put_columns(own->log_prob, own->n_parts, part, 1, n, own->log_probs);
        for (int64_t i = 0; i < n; ++i)
            chosen[i * own->n_parts + part] = own->choices[i];
        noise += (int64_t)n * k;
        first += k;
    }
    sum_over_columns(own->log_probs, n, own->n_parts, log_prob);
    return possible;
}

static void evaluate(Head *head, const float *outputs, const float *actions, int n, float *log_prob, float *entropy) {
    MultiCategorical *own = head->own;
    for (int part = 0, first = 0; part < own->n_parts; ++part) {
        Head *categorical = &own->parts[part];
        int k = categorical->n_outputs;
        float *logits = own->logits + (int64_t)n * first; /* `backward` of the part will read them */
        take_columns(outputs, head->n_outputs, first, k, n, logits);
        take_columns(actions, own->n_parts, part, 1, n, own->actions);
        categorical->evaluate(categorical, logits, own->actions, n, own->log_prob, own->entropy);
        put_columns(own->log_prob, own->n_parts, part, 1, n, own->log_probs);
        put_columns(own->entropy, own->n_parts, part, 1, n, own->entropies);
        first += k;
    }
    sum_over_columns(own->log_probs, n, own->n_parts, log_prob);
    sum_over_columns(own->entropies, n, own->n_parts, entropy);
}

/* The gradient of a sum is that of every summand, and the gradient of torch.split puts the columns side by side. */
static void backward(Head *head, const float *grad_log_prob, float grad_entropy, int n, float *grad_outputs) {
    MultiCategorical *own = head->own;
    for (int part = 0, first = 0; part < own->n_parts; ++part) {
        Head *categorical = &own->parts[part];
        int k = categorical->n_outputs;
        categorical->backward(categorical, grad_log_prob, grad_entropy, n, own->grad);
        put_columns(own->grad, head->n_outputs, first, k, n, grad_outputs);
        first += k;
    }
}

/* n_choices: k_1, k_2, ..., [n_parts] */
EXPORT void learner_add_multi_categorical(Learner *learner, int n_parts, const int32_t *n_choices) {
    int64_t n = capacity_of(learner);
    int n_outputs = 0;
    MultiCategorical *own = new_bytes(learner, sizeof *own);
    own->n_parts = n_parts;
    own->parts = new_bytes(learner, n_parts * (int64_t)sizeof(Head));
    for (int part = 0; part < n_parts; ++part) {
        own->parts[part] = new_categorical(learner, n_choices[part]);
        n_outputs += n_choices[part];
    }
    own->logits = new_floats(learner, n * n_outputs);
    own->grad = new_floats(learner, n * n_outputs);
    own->actions = new_floats(learner, n);
    own->choices = new_bytes(learner, n * (int64_t)sizeof(int64_t));
    own->log_prob = new_floats(learner, n);
    own->entropy = new_floats(learner, n);
    own->log_probs = new_floats(learner, n * n_parts);
    own->entropies = new_floats(learner, n * n_parts);
    int32_t *known = new_bytes(learner, n_parts * (int64_t)sizeof *known);
    memcpy(known, n_choices, (size_t)n_parts * sizeof *known);
    *head_of(learner) = (Head){
        .n_outputs = n_outputs,
        .n_actions = n_parts,
        .integers = true,
        .has_entropy = true,
        .n_choices = known,
        .sample = sample,
        .evaluate = evaluate,
        .backward = backward,
        .own = own,
    };
}

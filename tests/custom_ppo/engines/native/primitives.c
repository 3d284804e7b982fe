/* Functions of the kernels that are hidden in the shipped library, exported for the tests. */
#include "kernels.h"

EXPORT void test_activate(int activation, float slope, int64_t n, const float *x, float *y) {
    activate((Activation)activation, slope, n, x, y);
}

EXPORT void test_activation_gradient(int activation, float slope, int64_t n, const float *x, const float *y,
                                     float *grad) {
    activation_gradient((Activation)activation, slope, n, x, y, grad);
}

EXPORT float test_sum(const float *x, int64_t n) { return sum(x, n); }
EXPORT float test_mean(const float *x, int64_t n) { return mean(x, n); }
EXPORT float test_standard_deviation(const float *x, int64_t n) { return standard_deviation(x, n); }
EXPORT float test_norm(const float *x, int64_t n) { return norm(x, n); }
EXPORT void test_sum_over_rows(const float *x, int64_t n, int64_t k, float *out) { sum_over_rows(x, n, k, out); }
EXPORT void test_sum_over_columns(const float *x, int64_t n, int64_t k, float *out) { sum_over_columns(x, n, k, out); }
EXPORT void test_normalize_advantages(float *advantages, int64_t n) { normalize_advantages(advantages, n); }

EXPORT void test_multiply(float *c, int n, int m, int k, const float *a, int a_row, int a_column, const float *b,
                          int b_row, int b_column, float beta) {
    multiply(c, n, m, k, (View){a, a_row, a_column}, (View){b, b_row, b_column}, beta);
}

/* Layers of these widths with one activation between them, forward and backward; arrays: weights, biases, and gradients of
 * both, of all layers in turn. */
EXPORT void test_stack(int n_layers, const int *widths, int activation, float slope, int n, const float *x,
                       const float *grad_output, float *output, float *const *arrays, float *const *work) {
    Layer layers[8];
    Stack stack = {.n_layers = n_layers, .layers = layers, .spare = {work[2 * n_layers], work[2 * n_layers + 1]}};
    for (int i = 0; i < n_layers; ++i) {
        float *const *own = arrays + 4 * i;
        layers[i] = (Layer){
            .n_in = widths[i],
            .n_out = widths[i + 1],
            .activation = i + 1 < n_layers ? (Activation)activation : NO_ACTIVATION,
            .slope = slope,
            .weight = own[0],
            .bias = own[1],
            .grad_weight = own[2],
            .grad_bias = own[3],
            .before = work[2 * i],
            .output = needs_input((Activation)activation) && i + 1 < n_layers ? work[2 * i + 1] : work[2 * i],
        };
    }
    memcpy(output, stack_forward(&stack, x, n), (size_t)n * (size_t)widths[n_layers] * sizeof(float));
    stack_backward(&stack, x, grad_output, n);
}

/* One step of an optimiser, the gradients of which are clipped first. */
EXPORT void test_step(int kind, int64_t size, float *values, float *grads, float *scratch, float *const *state,
                      const double *options, double n_steps, double lr, double max_grad_norm, int n_parameters,
                      const float **parameter_grads, int64_t *parameter_sizes) {
    float norms[64];
    Optimizer optimizer = {
        .kind = (OptimizerKind)kind,
        .size = size,
        .values = values,
        .grads = grads,
        .scratch = scratch,
        .n_steps = n_steps,
        .lr = lr,
        .n_parameters = n_parameters,
        .parameter_grads = parameter_grads,
        .parameter_sizes = parameter_sizes,
        .norms = norms,
    };
    memcpy(optimizer.state, state, sizeof optimizer.state);
    memcpy(optimizer.options, options, sizeof optimizer.options);
    optimizer_step(&optimizer, clip_factor(&optimizer, max_grad_norm));
}

/* Loss of one minibatch and its gradient. given: log_prob, old_log_prob, advantages, values, old_values, returns, entropy. */
EXPORT void test_loss(const Numbers *numbers, bool has_entropy, int n, float *const *given, Terms *terms,
                      float *grad_log_prob, float *grad_values, float *grad_entropy) {
    float *work = malloc(7 * (size_t)n * sizeof(float));
    Minibatch batch = {
        .n = n,
        .log_prob = given[0],
        .old_log_prob = given[1],
        .advantages = given[2],
        .values = given[3],
        .old_values = given[4],
        .returns = given[5],
        .entropy = given[6],
        .log_ratio = work,
        .ratio = work + n,
        .unclipped = work + 2 * n,
        .clipped = work + 3 * n,
        .moved = work + 4 * n,
        .judged = work + 5 * n,
        .scratch = work + 6 * n,
        .grad_log_prob = grad_log_prob,
        .grad_values = grad_values,
    };
    *terms = loss_terms(&batch, numbers, has_entropy);
    loss_gradient(&batch, numbers, has_entropy, grad_entropy);
    free(work);
}

EXPORT void test_square_roots(int64_t n, const float *x, float *y) { square_roots(n, x, y); }
EXPORT void test_vml_sqrt(int64_t n, const float *x, float *y) { vml_sqrt(n, x, y); }

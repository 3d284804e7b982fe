/* Linear layers with activations between them, and their backward pass. */
#include "kernels.h"

/* row [k] -> n equal rows [n, k], twice as many with every copy */
static void repeat(const float *row, int k, int n, float *out) {
    memcpy(out, row, (size_t)k * sizeof(float));
    for (int filled = 1; filled < n; filled *= 2) {
        int more = filled < n - filled ? filled : n - filled;
        memcpy(out + (int64_t)filled * k, out, (size_t)more * (size_t)k * sizeof(float));
    }
}

/* x [n, features] -> the outputs of the last layer, [n, outputs]; those of all layers are kept for the backward pass.
 * nn.Linear is at::addmm: sgemm adds the product to the bias (beta = 1), which rounds otherwise than x W^T + b. */
const float *stack_forward(const Stack *stack, const float *x, int n) {
    for (int i = 0; i < stack->n_layers; ++i) {
        const Layer *layer = &stack->layers[i];
        repeat(layer->bias, layer->n_out, n, layer->before);
        View weight = transposed(layer->weight, layer->n_in);
        multiply(layer->before, n, layer->n_out, layer->n_in, rows(x, layer->n_in), weight, 1);
        activate(layer->activation, layer->slope, (int64_t)n * layer->n_out, layer->before, layer->output);
        x = layer->output;
    }
    return x;
}

/* d loss / d x [n, n_in], given d loss / d y [n, n_out].
 * Autograd exchanges the operands where x is [1, 1], as that is column-major too (mm_mat1_backward). */
static void input_gradient(const Layer *layer, const float *grad, int n, float *grad_input) {
    int n_in = layer->n_in, n_out = layer->n_out;
    if (n == 1 && n_in == 1)
        multiply(grad_input, 1, 1, n_out, transposed(layer->weight, 1), transposed(grad, n_out), 0);
    else
        multiply(grad_input, n, n_in, n_out, rows(grad, n_out), rows(layer->weight, n_in), 0);
}

/* Gradients of all weights and biases, given that of the outputs [n, outputs]; x is the input of the forward pass.
 *     d loss / d b = sum over the batch,  d loss / d W = grad^T x,  d loss / d x = grad W */
void stack_backward(const Stack *stack, const float *x, const float *grad_output, int n) {
    const float *grad = grad_output;
    for (int i = stack->n_layers - 1; i >= 0; --i) {
        const Layer *layer = &stack->layers[i];
        const float *input = i > 0 ? stack->layers[i - 1].output : x;
        sum_over_rows(grad, n, layer->n_out, layer->grad_bias);
        View by_output = transposed(grad, layer->n_out);
        multiply(layer->grad_weight, layer->n_out, layer->n_in, n, by_output, rows(input, layer->n_in), 0);
        if (i == 0) /* observations need no gradient */
            break;
        float *grad_input = stack->spare[i % 2];
        input_gradient(layer, grad, n, grad_input);
        const Layer *last = &stack->layers[i - 1];
        activation_gradient(last->activation, last->slope, (int64_t)n * layer->n_in, last->before, last->output,
                            grad_input);
        grad = grad_input;
    }
}

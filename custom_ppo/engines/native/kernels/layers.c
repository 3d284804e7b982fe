/* Linear layers with activations between them, and their backward pass. */
#include "kernels.h"

/* x is n numbers before the activation; y, which may be the same array, gets those after it. */
static void activate(const Layer *layer, const float *x, float *y, int64_t n) {
    switch (layer->activation) {
    case TANH:
        vml_tanh(n, x, y); /* at::tanh, by VML for contiguous tensors */
        break;
    case RELU: /* at::relu is clamp_min: NaN stays NaN */
        for (int64_t i = 0; i < n; ++i)
            y[i] = x[i] > 0 || x[i] != x[i] ? x[i] : 0.0f;
        break;
    default:
        break;
    }
}

/* grad is d loss / d y on entry, and d loss / d x on return. */
static void activation_gradient(const Layer *layer, const float *x, const float *y, float *grad, int64_t n) {
    (void)x;
    switch (layer->activation) {
    case TANH: /* tanh_backward_kernel (BinaryOpsKernel.cpp): grad * fnmadd(y, y, 1) */
        for (int64_t i = 0; i < n; ++i)
            grad[i] = grad[i] * fmaf(-y[i], y[i], 1.0f);
        break;
    case RELU: /* threshold_backward of the result */
        for (int64_t i = 0; i < n; ++i)
            grad[i] = y[i] <= 0 ? 0.0f : grad[i];
        break;
    default:
        break;
    }
}

/* x [n, features] -> the outputs of the last layer, [n, outputs]; those of all layers are kept for the backward pass.
 * nn.Linear is at::addmm: the product is added to the bias by sgemm itself (beta = 1), which rounds otherwise than x W^T + b. */
const float *stack_forward(const Stack *stack, const float *x, int n) {
    for (int i = 0; i < stack->n_layers; ++i) {
        const Layer *layer = &stack->layers[i];
        for (int row = 0; row < n; ++row)
            memcpy(layer->before + (int64_t)row * layer->n_out, layer->bias, (size_t)layer->n_out * sizeof(float));
        multiply(layer->before, n, layer->n_out, layer->n_in, rows(x, layer->n_in), transposed(layer->weight, layer->n_in), 1);
        activate(layer, layer->before, layer->output, (int64_t)n * layer->n_out);
        x = layer->output;
    }
    return x;
}

/* Gradients of all weights and biases, given that of the outputs [n, outputs]; x is the input of the forward pass.
 *     d loss / d b = sum over the batch,  d loss / d W = grad^T x,  d loss / d x = grad W */
void stack_backward(const Stack *stack, const float *x, const float *grad_output, int n) {
    const float *grad = grad_output;
    for (int i = stack->n_layers - 1; i >= 0; --i) {
        const Layer *layer = &stack->layers[i];
        const float *input = i > 0 ? stack->layers[i - 1].output : x;
        sum_over_rows(grad, n, layer->n_out, layer->grad_bias);
        multiply(layer->grad_weight, layer->n_out, layer->n_in, n, transposed(grad, layer->n_out), rows(input, layer->n_in), 0);
        if (i == 0) /* observations need no gradient */
            break;
        float *grad_input = stack->spare[i % 2];
        multiply(grad_input, n, layer->n_in, layer->n_out, rows(grad, layer->n_out), rows(layer->weight, layer->n_in), 0);
        const Layer *last = &stack->layers[i - 1];
        activation_gradient(last, last->before, last->output, grad_input, (int64_t)n * layer->n_in);
        grad = grad_input;
    }
}

/* Clipping of the gradient's norm, and the step of the optimiser, on one array that holds all parameters. */
#include "kernels.h"

/* nn.utils.clip_grad_norm_: the norm of the norms of all parameters; then all gradients are scaled, by 1 at most. */
void clip_gradients(Optimizer *optimizer, double max_grad_norm) {
    for (int i = 0; i < optimizer->n_parameters; ++i)
        optimizer->norms[i] = norm(optimizer->parameter_grads[i], optimizer->parameter_sizes[i]);
    float total = norm(optimizer->norms, optimizer->n_parameters);
    /* float / tensor is tensor.reciprocal() * float */
    float scale = (1.0f / (total + (float)1e-6)) * (float)max_grad_norm;
    if (scale > 1.0f)
        scale = 1.0f;
    for (int64_t i = 0; i < optimizer->size; ++i)
        optimizer->grads[i] = optimizer->grads[i] * scale;
}

/* torch.optim.Adam (Kingma & Ba 2015, arXiv 1412.6980): lerp_, addcmul_ and addcdiv_; the first two contract, see
 * LerpKernel.cpp and PointwiseOpsKernel.cpp. Bias corrections are computed in float64, as Python does. */
static void adam(Optimizer *optimizer) {
    double beta1 = optimizer->options[0], beta2 = optimizer->options[1];
    float eps = (float)optimizer->options[2];
    float weight1 = (float)(1 - beta1), weight2 = (float)(1 - beta2), decay2 = (float)beta2;
    float step_size = (float)-(optimizer->lr / (1 - pow(beta1, optimizer->n_steps)));
    float correction = (float)pow(1 - pow(beta2, optimizer->n_steps), 0.5);
    float *restrict grads = optimizer->grads, *restrict values = optimizer->values, *restrict root = optimizer->scratch;
    float *restrict first = optimizer->state[0], *restrict second = optimizer->state[1];
    for (int64_t i = 0; i < optimizer->size; ++i) {
        first[i] = fmaf(weight1, grads[i] - first[i], first[i]);
        second[i] = fmaf(weight2 * grads[i], grads[i], second[i] * decay2);
    }
    vml_sqrt(optimizer->size, second, root);
    for (int64_t i = 0; i < optimizer->size; ++i)
        values[i] = values[i] + (step_size * first[i]) / (root[i] / correction + eps);
}

void optimizer_step(Optimizer *optimizer) {
    optimizer->n_steps += 1;
    switch (optimizer->kind) {
    case ADAM:
        adam(optimizer);
        break;
    default:
        break;
    }
}

/* Clipping of the gradient's norm, and the step of the optimiser, on one array that holds all parameters. */
#include "kernels.h"

/* nn.utils.clip_grad_norm_: from the norm of the norms of all parameters, the factor of all gradients, 1 at most. */
float clip_factor(Optimizer *optimizer, double max_grad_norm) {
    for (int i = 0; i < optimizer->n_parameters; ++i)
        optimizer->norms[i] = norm(optimizer->parameter_grads[i], optimizer->parameter_sizes[i]);
    float total = norm(optimizer->norms, optimizer->n_parameters);
    /* float / tensor is tensor.reciprocal() * float */
    float scale = (1.0f / (total + (float)1e-6)) * (float)max_grad_norm;
    return scale > 1.0f ? 1.0f : scale; /* NaN stays NaN */
}

/* The other half of clip_grad_norm_, for n gradients. */
static void scale_gradients(float *grads, int64_t n, float scale) {
    if (scale != 1.0f)
        for (int64_t i = 0; i < n; ++i)
            grads[i] = grads[i] * scale;
}

/* ---- operations of PyTorch that round a product and a sum once ---- */

/* Tensor.lerp_ (Lerp.h): old + weight * (new - old), from the nearer end. */
static inline float lerp(float old, float new, float weight) {
    return fabsf(weight) < 0.5f ? fmaf(weight, new - old, old) : fmaf(weight - 1.0f, new - old, new);
}

/* Tensor.mul_ and addcmul_ (PointwiseOpsKernel.cpp): average * decay + weight * x^2 */
static inline float averaged_square(float average, float x, float decay, float weight) {
    return fmaf(weight * x, x, average * decay);
}

/* Tensor.add with alpha (BinaryOpsKernel.cpp): the gradient with that of an L2 penalty, weight_decay / 2 * value^2. */
static inline float penalised(float grad, float value, float weight_decay) {
    return weight_decay == 0 ? grad : fmaf(weight_decay, value, grad);
}

/* torch.maximum: NaN wins. */
static inline float maximum(float x, float y) { return x > y || x != x ? x : y; }

/* ---- Adam (Kingma & Ba 2015, arXiv 1412.6980) and AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) ---- */

/* Numbers of one step. Bias corrections are computed in float64, as Python does. */
typedef struct {
    bool decoupled, amsgrad;
    float weight1, weight2, decay2; /* 1 - beta1, 1 - beta2, beta2 */
    float eps, penalty, shrink, step_size, correction;
} AdamNumbers;

/* options: beta1, beta2, eps, weight_decay, amsgrad. AdamW shrinks the weights and leaves the gradient alone. */
static AdamNumbers adam_numbers(const Optimizer *optimizer) {
    const double *options = optimizer->options, beta1 = options[0], beta2 = options[1], weight_decay = options[3];
    return (AdamNumbers){
        .decoupled = optimizer->kind == ADAMW && weight_decay != 0,
        .amsgrad = options[4] != 0,
        .weight1 = (float)(1 - beta1),
        .weight2 = (float)(1 - beta2),
        .decay2 = (float)beta2,
        .eps = (float)options[2],
        .penalty = optimizer->kind == ADAMW ? 0 : (float)weight_decay,
        .shrink = (float)(1 - optimizer->lr * weight_decay),
        .step_size = (float)-(optimizer->lr / (1 - pow(beta1, optimizer->n_steps))),
        .correction = (float)pow(1 - pow(beta2, optimizer->n_steps), 0.5),
    };
}

enum { BLOCK = 128 }; /* parameters of which all arrays fit in the first cache together */

/* state: both moments, and the largest second one of AMSGrad. */
static void adam_block(AdamNumbers numbers, int64_t n, float *restrict values, const float *restrict grads,
                       float *restrict first, float *restrict second, float *restrict largest_second) {
    float root[BLOCK];
    for (int64_t i = 0; i < n; ++i) {
        float grad = penalised(grads[i], values[i], numbers.penalty);
        first[i] = lerp(first[i], grad, numbers.weight1);
        second[i] = averaged_square(second[i], grad, numbers.decay2, numbers.weight2);
    }
    if (numbers.amsgrad)
        for (int64_t i = 0; i < n; ++i)
            largest_second[i] = maximum(largest_second[i], second[i]);
    square_roots(n, numbers.amsgrad ? largest_second : second, root);
    for (int64_t i = 0; i < n; ++i) {
        float value = numbers.decoupled ? values[i] * numbers.shrink : values[i];
        float denominator = root[i] / numbers.correction + numbers.eps;
        values[i] = value + (numbers.step_size * first[i]) / denominator; /* addcdiv_ */
    }
}

/* Return true if n numbers are 0.0, or -0.0, which has the one bit that `mask` leaves out. */
static bool all_zero(const float *x, int64_t n, uint32_t mask) {
    uint32_t bits, any = 0;
    for (int64_t i = 0; i < n; ++i) {
        memcpy(&bits, x + i, sizeof bits);
        any |= bits & mask;
    }
    return any == 0;
}

/* Return true if weights without a gradient and without moments stay as they are, because -0.0 is added to them. An
 * input that is always zero, as most are of a one-hot code, has such weights. */
static bool rests_at_zero(const AdamNumbers *numbers, float scale) {
    bool adds_minus_zero = numbers->step_size <= 0 && isfinite(numbers->step_size) && numbers->eps > 0;
    bool moments_stay = numbers->weight1 < 1 && numbers->penalty == 0;
    return scale >= 0 && adds_minus_zero && moments_stay && numbers->correction > 0 && !numbers->decoupled;
}

/* scale: of the gradients. */
static void adam(Optimizer *optimizer, float scale) {
    AdamNumbers numbers = adam_numbers(optimizer);
    float *largest_second = optimizer->state[2];
    bool may_rest = rests_at_zero(&numbers, scale);
    for (int64_t start = 0; start < optimizer->size; start += BLOCK) {
        int64_t n = optimizer->size - start < BLOCK ? optimizer->size - start : BLOCK;
        float *grads = optimizer->grads + start;
        float *first = optimizer->state[0] + start, *second = optimizer->state[1] + start;
        if (may_rest && all_zero(grads, n, 0x7fffffff) && all_zero(first, n, ~0u) && all_zero(second, n, ~0u))
            continue;
        scale_gradients(grads, n, scale);
        adam_block(numbers, n, optimizer->values + start, grads, first, second,
                   largest_second ? largest_second + start : NULL);
    }
}

/* ---- RMSprop (Hinton 2012), and SB3's RMSpropTFLike with eps inside of the root ---- */

/* options: alpha, eps, weight_decay, momentum, centered; state: average of squares, momentum, average of gradients. */
static void rmsprop(Optimizer *optimizer) {
    bool like_tensorflow = optimizer->kind == RMSPROP_TF_LIKE, centered = optimizer->options[4] != 0;
    double alpha = optimizer->options[0];
    float decay = (float)alpha, weight = (float)(1 - alpha), minus_lr = (float)-optimizer->lr;
    float eps = (float)optimizer->options[1], penalty = (float)optimizer->options[2];
    float momentum = (float)optimizer->options[3];
    float *restrict grads = optimizer->grads, *restrict values = optimizer->values, *restrict root = optimizer->scratch;
    float *restrict square = optimizer->state[0], *restrict buffer = optimizer->state[1];
    float *restrict average = optimizer->state[2];
    int64_t n = optimizer->size;
    for (int64_t i = 0; i < n; ++i) {
        float grad = penalised(grads[i], values[i], penalty);
        root[i] = square[i] = averaged_square(square[i], grad, decay, weight);
    }
    if (centered)
        for (int64_t i = 0; i < n; ++i) {
            float grad = penalised(grads[i], values[i], penalty);
            average[i] = like_tensorflow ? fmaf(weight, grad, average[i] * decay) : lerp(average[i], grad, weight);
            root[i] = fmaf(-average[i], average[i], root[i]);
        }
    if (like_tensorflow)
        for (int64_t i = 0; i < n; ++i)
            root[i] = root[i] + eps;
    square_roots(n, root, root);
    for (int64_t i = 0; i < n; ++i) {
        float grad = penalised(grads[i], values[i], penalty), deviation = like_tensorflow ? root[i] : root[i] + eps;
        if (optimizer->options[3] > 0) {
            buffer[i] = buffer[i] * momentum + grad / deviation;
            values[i] = fmaf(minus_lr, buffer[i], values[i]);
        } else {
            values[i] = values[i] + (minus_lr * grad) / deviation;
        }
    }
}

/* ---- gradient descent ---- */

/* options: momentum, dampening, weight_decay, nesterov; state: the momentum, at first the gradient. */
static void sgd(Optimizer *optimizer) {
    bool has_momentum = optimizer->options[0] != 0, nesterov = optimizer->options[3] != 0;
    bool is_first = optimizer->n_steps == 1;
    float momentum = (float)optimizer->options[0], weight = (float)(1 - optimizer->options[1]);
    float penalty = (float)optimizer->options[2], minus_lr = (float)-optimizer->lr;
    float *restrict grads = optimizer->grads, *restrict values = optimizer->values;
    float *restrict buffer = optimizer->state[0];
    for (int64_t i = 0; i < optimizer->size; ++i) {
        float grad = penalised(grads[i], values[i], penalty);
        if (has_momentum) {
            buffer[i] = is_first ? grad : fmaf(weight, grad, buffer[i] * momentum);
            grad = nesterov ? fmaf(momentum, buffer[i], grad) : buffer[i];
        }
        values[i] = fmaf(minus_lr, grad, values[i]);
    }
}

void optimizer_step(Optimizer *optimizer, float scale) {
    optimizer->n_steps += 1;
    if (optimizer->kind != ADAM && optimizer->kind != ADAMW)
        scale_gradients(optimizer->grads, optimizer->size, scale);
    switch (optimizer->kind) {
    case ADAM:
    case ADAMW:
        adam(optimizer, scale);
        break;
    case RMSPROP:
    case RMSPROP_TF_LIKE:
        rmsprop(optimizer);
        break;
    case SGD:
        sgd(optimizer);
        break;
    }
}

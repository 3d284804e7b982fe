/* Activations and their derivatives, as in aten/src/ATen/native/cpu/Activation.cpp and Elu.h, Gelu.h beside it.
 *
 * ATen computes two vectors at a time by Sleef, and the rest one by one by the C library, which rounds otherwise: so
 * every formula is here for a vector and for one number. Where ATen's compiler contracted a product and a sum, there is
 * an fma.
 */
#include <immintrin.h>

#include "kernels.h"

/* Of n numbers, those that ATen computes in vectors. */
static int64_t in_vectors(int64_t n) { return n - n % (2 * wide_lanes()); }

static Vector8 all8(float x) { return _mm256_set1_ps(x); }
static Vector8 fma8(Vector8 a, Vector8 b, Vector8 c) { return _mm256_fmadd_ps(a, b, c); }
static Vector8 where8(Vector8 condition, Vector8 x, Vector8 y) { return _mm256_blendv_ps(y, x, condition); }

/* ---- x / (1 + exp(-x)), nn.SiLU; its derivative is s * (1 + x * (1 - s)) with s = 1 / (1 + exp(-x)) ---- */

static Vector8 silu_vector(Vector8 x, float slope) {
    (void)slope;
    return x / (1.0f + torch_math.Sleef_expf8_u10(-x));
}
static float silu_number(float x, float slope) {
    (void)slope;
    return x / (1.0f + expf(-x));
}
static Vector8 silu_gradient_vector(Vector8 grad, Vector8 x, float slope) {
    (void)slope;
    Vector8 s = 1.0f / (1.0f + torch_math.Sleef_expf8_u10(-x));
    return grad * s * fma8(x, 1.0f - s, all8(1));
}
static float silu_gradient_number(float grad, float x, float slope) {
    (void)slope;
    float s = 1.0f / (1.0f + expf(-x));
    return grad * s * fmaf(x, 1.0f - s, 1.0f);
}

/* ---- x, or alpha * (exp(x) - 1) if x < 0: nn.ELU ---- */

static Vector8 elu_vector(Vector8 x, float alpha) {
    Vector8 not_negative = _mm256_cmp_ps(x, all8(0), _CMP_GE_OQ);
    return where8(not_negative, x, torch_math.Sleef_expm1f8_u10(x) * alpha);
}
static float elu_number(float x, float alpha) { return x < 0 ? expm1f(x) * alpha : x; }
static Vector8 elu_gradient_vector(Vector8 grad, Vector8 x, float alpha) {
    Vector8 positive = _mm256_cmp_ps(x, all8(0), _CMP_GT_OQ);
    return where8(positive, grad, grad * alpha * torch_math.Sleef_expf8_u10(x));
}
static float elu_gradient_number(float grad, float x, float alpha) { return x <= 0 ? grad * alpha * expf(x) : grad; }

/* ---- 0.5 * x * (1 + tanh(inner)) with inner = beta * (x + kappa * x^3): nn.GELU(approximate="tanh") ---- */

static const float BETA = (float)(M_SQRT2 * M_2_SQRTPI * 0.5), KAPPA = (float)0.044715;

static Vector8 gelu_tanh_vector(Vector8 x, float slope) {
    (void)slope;
    Vector8 inner = BETA * fma8(all8(KAPPA), x * x * x, x);
    return 0.5f * x * (1.0f + torch_math.Sleef_tanhf8_u10(inner));
}
static float gelu_tanh_number(float x, float slope) {
    (void)slope;
    float inner = BETA * fmaf(KAPPA, x * x * x, x);
    return 0.5f * x * (1.0f + tanhf(inner));
}
static Vector8 gelu_tanh_gradient_vector(Vector8 grad, Vector8 x, float slope) {
    (void)slope;
    Vector8 square = x * x, inner = BETA * fma8(all8(KAPPA), square * x, x);
    Vector8 tanh_inner = torch_math.Sleef_tanhf8_u10(inner);
    Vector8 tanh_derivative = fma8(-tanh_inner, tanh_inner, all8(1));
    Vector8 inner_derivative = BETA * fma8(all8(3.0f * KAPPA), square, all8(1));
    return grad * fma8(all8(0.5f), 1.0f + tanh_inner, 0.5f * x * tanh_derivative * inner_derivative);
}
static float gelu_tanh_gradient_number(float grad, float x, float slope) {
    (void)slope;
    float square = x * x, inner = BETA * fmaf(KAPPA, square * x, x);
    float tanh_inner = tanhf(inner);
    float tanh_derivative = fmaf(-tanh_inner, tanh_inner, 1.0f);
    float inner_derivative = BETA * fmaf(3.0f * KAPPA, square, 1.0f);
    return grad * fmaf(0.5f, 1.0f + tanh_inner, 0.5f * x * tanh_derivative * inner_derivative);
}

/* ---- 1 / (1 + exp(-x)): nn.Sigmoid ---- */

static Vector8 sigmoid_vector(Vector8 x, float slope) {
    (void)slope;
    return 1.0f / (1.0f + torch_math.Sleef_expf8_u10(0.0f - x));
}
static float sigmoid_number(float x, float slope) {
    (void)slope;
    return 1.0f / (1.0f + expf(-x));
}

/* Functions of one activation, for the vectors and for the rest of an array. */
typedef struct {
    Vector8 (*vector)(Vector8 x, float slope);
    float (*number)(float x, float slope);
    Vector8 (*gradient_vector)(Vector8 grad, Vector8 x, float slope);
    float (*gradient_number)(float grad, float x, float slope);
} Formula;

static const Formula formulas[] = {
    [ELU] = {elu_vector, elu_number, elu_gradient_vector, elu_gradient_number},
    [GELU_TANH] = {gelu_tanh_vector, gelu_tanh_number, gelu_tanh_gradient_vector, gelu_tanh_gradient_number},
    [SILU] = {silu_vector, silu_number, silu_gradient_vector, silu_gradient_number},
    [SIGMOID] = {sigmoid_vector, sigmoid_number, NULL, NULL},
};

static void apply(const Formula *formula, float slope, int64_t n, const float *x, float *y) {
    int64_t i = 0;
    for (; i < in_vectors(n); i += 8)
        *(v8 *)(y + i) = formula->vector(*(const v8 *)(x + i), slope);
    for (; i < n; ++i)
        y[i] = formula->number(x[i], slope);
}

static void apply_gradient(const Formula *formula, float slope, int64_t n, const float *x, float *grad) {
    int64_t i = 0;
    for (; i < in_vectors(n); i += 8)
        *(v8 *)(grad + i) = formula->gradient_vector(*(const v8 *)(grad + i), *(const v8 *)(x + i), slope);
    for (; i < n; ++i)
        grad[i] = formula->gradient_number(grad[i], x[i], slope);
}

bool needs_input(Activation activation) {
    return activation >= ELU && activation <= SILU;
}

void activate(Activation activation, float slope, int64_t n, const float *x, float *y) {
    switch (activation) {
    case NO_ACTIVATION:
        break;
    case TANH:
        vml_tanh(n, x, y); /* at::tanh, by VML for contiguous tensors */
        break;
    case RELU: /* at::relu is clamp_min: NaN stays NaN, and -0.0 stays -0.0 */
        for (int64_t i = 0; i < n; ++i)
            y[i] = x[i] < 0 ? 0.0f : x[i];
        break;
    case LEAKY_RELU:
        for (int64_t i = 0; i < n; ++i)
            y[i] = x[i] > 0 ? x[i] : x[i] * slope;
        break;
    default:
        apply(&formulas[activation], slope, n, x, y);
    }
}

void activation_gradient(Activation activation, float slope, int64_t n, const float *x, const float *y, float *grad) {
    switch (activation) {
    case NO_ACTIVATION:
        break;
    case TANH: /* tanh_backward_kernel (BinaryOpsKernel.cpp): grad * fnmadd(y, y, 1) */
        for (int64_t i = 0; i < n; ++i)
            grad[i] = grad[i] * fmaf(-y[i], y[i], 1.0f);
        break;
    case RELU: /* threshold_backward of the result */
        for (int64_t i = 0; i < n; ++i)
            grad[i] = y[i] <= 0 ? 0.0f : grad[i];
        break;
    case LEAKY_RELU:
        for (int64_t i = 0; i < n; ++i)
            grad[i] = x[i] > 0 ? grad[i] : grad[i] * slope;
        break;
    case SIGMOID: /* sigmoid_backward_kernel (BinaryOpsKernel.cpp) */
        for (int64_t i = 0; i < n; ++i)
            grad[i] = grad[i] * (1.0f - y[i]) * y[i];
        break;
    default:
        apply_gradient(&formulas[activation], slope, n, x, grad);
    }
}

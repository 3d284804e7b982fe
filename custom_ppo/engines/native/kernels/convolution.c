/* Gradient of the first convolution of a network, for images of four channels.
 *
 * oneDNN, which ATen calls, fills the channels up to eight and takes a kernel for AVX2 also where there is AVX-512
 * (src/cpu/x64/jit_avx2_conv_kernel_f32.cpp, jit_avx2_conv_bwd_weights_kernel_f32). On one thread that kernel adds
 *
 *     dw[o, w] = fma(x[i, p * stride + w], dy[i, o, p], dw[o, w])       over images i, rows and columns of positions p
 *     db[o]    = db[o] + dy[i, o, p]
 *
 * one term after the other from zero, so that the same chain can be computed in wider vectors: lanes are output channels o.
 */
#include "torch_math.h"

#include <immintrin.h>

enum { WEIGHTS_AT_ONCE = 8 };

/* Arrays of one call. `offsets` holds the place of each weight (channel, row, column of the kernel) in an image, and is
 * filled up to a multiple of WEIGHTS_AT_ONCE; dw and db are those of `weight_gradients`. */
typedef struct {
    int64_t n_images, image_size, width, n_rows, n_columns, stride, n_outputs, n_weights;
    const int64_t *offsets;
    const float *images; /* [n_images, channels, height, width] */
    const float *grad;   /* [n_images, n_rows, n_columns, n_outputs], channels last */
    float *dw, *db;      /* [n_weights filled up, n_outputs], [n_outputs] */
} FirstConvolution;

/* Add one image's terms to WEIGHTS_AT_ONCE weights of VECTORS vectors of output channels, which stay in registers. */
#define DEFINE_ADD_IMAGE(NAME, TARGET, V, VECTORS, LANES, LOAD, STORE, BROADCAST, FMA)                           \
    TARGET static void NAME(const FirstConvolution *c, const float *image, const float *grad, int64_t weight,    \
                            int64_t output) {                                                                    \
        const int64_t *at = c->offsets + weight;                                                                 \
        float *dw = c->dw + weight * c->n_outputs + output;                                                      \
        V sums[WEIGHTS_AT_ONCE][VECTORS];                                                                        \
        for (int j = 0; j < WEIGHTS_AT_ONCE; j++)                                                                \
            for (int k = 0; k < VECTORS; k++)                                                                    \
                sums[j][k] = LOAD(dw + j * c->n_outputs + k * LANES);                                            \
        grad += output;                                                                                          \
        for (int64_t row = 0; row < c->n_rows; row++) {                                                          \
            const float *x = image + row * c->stride * c->width;                                                 \
            for (int64_t column = 0; column < c->n_columns; column++) {                                          \
                V dy[VECTORS];                                                                                   \
                for (int k = 0; k < VECTORS; k++)                                                                \
                    dy[k] = LOAD(grad + k * LANES);                                                              \
                for (int j = 0; j < WEIGHTS_AT_ONCE; j++) {                                                      \
                    const V value = BROADCAST(x[at[j]]);                                                         \
                    for (int k = 0; k < VECTORS; k++)                                                            \
                        sums[j][k] = FMA(value, dy[k], sums[j][k]);                                              \
                }                                                                                                \
                x += c->stride;                                                                                  \
                grad += c->n_outputs;                                                                            \
            }                                                                                                    \
        }                                                                                                        \
        for (int j = 0; j < WEIGHTS_AT_ONCE; j++)                                                                \
            for (int k = 0; k < VECTORS; k++)                                                                    \
                STORE(dw + j * c->n_outputs + k * LANES, sums[j][k]);                                            \
    }

DEFINE_ADD_IMAGE(add_image_8, , __m256, 1, 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps)
DEFINE_ADD_IMAGE(add_image_32, __attribute__((target("avx512f"))), __m512, 2, 16, _mm512_loadu_ps, _mm512_storeu_ps,
                 _mm512_set1_ps, _mm512_fmadd_ps)

static void add_to_bias(const FirstConvolution *c, const float *grad) {
    for (int64_t position = 0; position < c->n_rows * c->n_columns; position++)
        for (int64_t output = 0; output < c->n_outputs; output++)
            c->db[output] += grad[position * c->n_outputs + output];
}

/* Write the gradients dw and db of a convolution without padding, dilation and groups. n_outputs: a multiple of 8, or of
 * 32 where wide (AVX-512) is true. */
EXPORT void first_convolution_gradients(const FirstConvolution *c, int wide) {
    const int64_t step = wide ? 32 : 8, grad_size = c->n_rows * c->n_columns * c->n_outputs;
    for (int64_t i = 0; i < c->n_weights * c->n_outputs; i++)
        c->dw[i] = 0;
    for (int64_t output = 0; output < c->n_outputs; output++)
        c->db[output] = 0;
    for (int64_t i = 0; i < c->n_images; i++) {
        const float *image = c->images + i * c->image_size, *grad = c->grad + i * grad_size;
        for (int64_t output = 0; output < c->n_outputs; output += step)
            for (int64_t weight = 0; weight < c->n_weights; weight += WEIGHTS_AT_ONCE)
                (wide ? add_image_32 : add_image_8)(c, image, grad, weight, output);
        add_to_bias(c, grad);
    }
}

/* Sums in ATen's order of additions.
 *
 * ATen adds in a cascade (aten/src/ATen/native/cpu/SumKernel.cpp): sums of 16 rows or more are added to sums of a
 * higher level, which keeps the rounding error small; and in four accumulators, or four vectors of eight, at once. That
 * file is compiled for AVX2 at most, also where the processor has AVX-512.
 */
#include "kernels.h"

enum { LEVELS = 4, ROWS_AT_ONCE = 4 };

static int ceil_log2(int64_t x) {
    int bits = 0;
    if (x <= 2)
        return 1;
    for (int64_t rest = x - 1; rest; rest >>= 1)
        bits++;
    return bits;
}

/* multi_row_sum: sums over `size` rows of four columns T; strides in float32. */
#define DEFINE_MULTI_ROW_SUM(NAME, T)                                                                            \
    static void NAME(const float *in, int64_t row_stride, int64_t column_stride, int64_t size, T *out) {         \
        int level_power = ceil_log2(size) / LEVELS < 4 ? 4 : ceil_log2(size) / LEVELS;                           \
        int64_t level_step = INT64_C(1) << level_power, level_mask = level_step - 1, i = 0;                      \
        T accumulated[LEVELS][ROWS_AT_ONCE];                                                                     \
        memset(accumulated, 0, sizeof accumulated);                                                              \
        while (i + level_step <= size) {                                                                         \
            for (int64_t j = 0; j < level_step; ++j, ++i)                                                        \
                for (int k = 0; k < ROWS_AT_ONCE; ++k)                                                           \
                    accumulated[0][k] += *(const T *)(in + i * row_stride + k * column_stride);                  \
            for (int j = 1; j < LEVELS; ++j) {                                                                   \
                for (int k = 0; k < ROWS_AT_ONCE; ++k) {                                                         \
                    accumulated[j][k] += accumulated[j - 1][k];                                                  \
                    memset(&accumulated[j - 1][k], 0, sizeof(T));                                                \
                }                                                                                                \
                if ((i & (level_mask << (j * level_power))) != 0)                                                \
                    break;                                                                                       \
            }                                                                                                    \
        }                                                                                                        \
        for (; i < size; ++i)                                                                                    \
            for (int k = 0; k < ROWS_AT_ONCE; ++k)                                                               \
                accumulated[0][k] += *(const T *)(in + i * row_stride + k * column_stride);                      \
        for (int j = 1; j < LEVELS; ++j)                                                                         \
            for (int k = 0; k < ROWS_AT_ONCE; ++k)                                                               \
                accumulated[0][k] += accumulated[j][k];                                                          \
        for (int k = 0; k < ROWS_AT_ONCE; ++k)                                                                   \
            out[k] = accumulated[0][k];                                                                          \
    }

DEFINE_MULTI_ROW_SUM(sum_four_columns, float)
DEFINE_MULTI_ROW_SUM(sum_four_vectors, v8)

/* row_sum: one sum over n numbers, or vectors of eight, that are `stride` float32 apart. */
static float row_sum(const float *in, int64_t stride, int64_t n) {
    float part[ROWS_AT_ONCE];
    int64_t quarter = n / ROWS_AT_ONCE;
    sum_four_columns(in, stride * ROWS_AT_ONCE, stride, quarter, part);
    for (int64_t i = quarter * ROWS_AT_ONCE; i < n; ++i)
        part[0] += in[i * stride];
    for (int k = 1; k < ROWS_AT_ONCE; ++k)
        part[0] += part[k];
    return part[0];
}

static v8 vector_row_sum(const float *in, int64_t stride, int64_t n) {
    v8 part[ROWS_AT_ONCE];
    int64_t quarter = n / ROWS_AT_ONCE;
    sum_four_vectors(in, stride * ROWS_AT_ONCE, stride, quarter, part);
    for (int64_t i = quarter * ROWS_AT_ONCE; i < n; ++i)
        part[0] += *(const v8 *)(in + i * stride);
    for (int k = 1; k < ROWS_AT_ONCE; ++k)
        part[0] += part[k];
    return part[0];
}

/* Every result is added to the zero that ATen's output starts with: this turns -0.0 into 0.0. */
float sum(const float *x, int64_t n) {
    if (n < 8)
        return 0.0f + row_sum(x, 1, n);
    int64_t n_vectors = n / 8;
    v8 vector = vector_row_sum(x, 8, n_vectors);
    float total = 0;
    for (int64_t i = n_vectors * 8; i < n; ++i)
        total += x[i];
    for (int k = 0; k < 8; ++k)
        total += vector[k];
    return 0.0f + total;
}

void sum_over_rows(const float *x, int64_t n, int64_t k, float *out) {
    int64_t j = 0;
    if (k == 1) {
        out[0] = sum(x, n);
        return;
    }
    if (n == 1) {
        for (; j < k; ++j)
            out[j] = 0.0f + x[j];
        return;
    }
    if (k >= 8) {
        for (; j + 32 <= k; j += 32) {
            v8 sums[ROWS_AT_ONCE];
            sum_four_vectors(x + j, k, 8, n, sums);
            for (int i = 0; i < ROWS_AT_ONCE; ++i)
                *(v8 *)(out + j + 8 * i) = 0.0f + sums[i];
        }
        for (; j + 8 <= k; j += 8)
            *(v8 *)(out + j) = 0.0f + vector_row_sum(x + j, k, n);
    } else {
        for (; j + 4 <= k; j += 4) {
            float sums[ROWS_AT_ONCE];
            sum_four_columns(x + j, k, 1, n, sums);
            for (int i = 0; i < ROWS_AT_ONCE; ++i)
                out[j + i] = 0.0f + sums[i];
        }
    }
    for (; j < k; ++j)
        out[j] = 0.0f + row_sum(x + j, k, n);
}

void sum_over_columns(const float *x, int64_t n, int64_t k, float *out) {
    for (int64_t i = 0; i < n; ++i) {
        const float *row = x + i * k;
        if (k == 1)
            out[i] = 0.0f + row[0];
        else if (k == 2) /* TensorIterator makes the two columns the outer loop: (0 + x0) + x1 */
            out[i] = 0.0f + ((0.0f + row[0]) + row[1]);
        else
            out[i] = k >= 8 ? sum(row, k) : 0.0f + row_sum(row, 1, k);
    }
}

/* at::mean: the sum, divided. */
float mean(const float *x, int64_t n) { return sum(x, n) / (float)n; }

/* at::std of a whole float32 tensor: squared distances from the float32 mean, summed one after the other in float64. */
float standard_deviation(const float *x, int64_t n) {
    double center = mean(x, n), squares = 0;
    for (int64_t i = 0; i < n; ++i) {
        double distance = (double)x[i] - center;
        squares += distance * distance;
    }
    return (float)sqrt(squares / (double)(n - 1));
}

/* norm_two_reduce_step (ReduceOpsKernel.cpp): eight sums of squares; of the rest, four at a time as GCC vectorises that
 * loop, and the last ones by a fused multiply and add. */
float norm(const float *x, int64_t n) {
    v8 squares = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        v8 y = *(const v8 *)(x + i);
        squares = squares + y * y;
    }
    float total = squares[0];
    for (int k = 1; k < 8; ++k)
        total += squares[k];
    if (n - i >= 4)
        for (int k = 0; k < 4; ++k, ++i)
            total = total + x[i] * x[i];
    for (; i < n; ++i)
        total = fmaf(x[i], x[i], total);
    return sqrtf(total);
}

float largest(const float *x, int64_t n) {
    float most = x[0];
    for (int64_t i = 1; i < n; ++i)
        most = x[i] > most ? x[i] : most;
    return most;
}

/* vec_reduce_all of one vector: halves are folded upon each other until one number is left. */
static float fold(float *vector, int lanes) {
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int k = 0; k < half; ++k)
            vector[k] = vector[k] + vector[k + half];
    return vector[0];
}

/* vec::reduce_all (aten/src/ATen/cpu/vec/functional_base.h), which softmax uses; compiled for AVX-512 too. */
float reduced_sum(const float *x, int64_t n) {
    int lanes = wide_lanes();
    float vector[16];
    if (n < lanes) {
        float total = x[0];
        for (int64_t i = 1; i < n; ++i)
            total += x[i];
        return total;
    }
    memcpy(vector, x, (size_t)lanes * sizeof(float));
    for (int64_t i = lanes; i < n; i += lanes)
        for (int k = 0; k < lanes && i + k < n; ++k)
            vector[k] += x[i + k];
    return fold(vector, lanes);
}

/* vec::map2_reduce_all: products and sums are rounded apart, except in the last, incomplete vector (GCC contracts). */
float reduced_dot(const float *x, const float *y, int64_t n) {
    int lanes = wide_lanes();
    float vector[16];
    if (n < lanes) {
        float total = x[0] * y[0];
        for (int64_t i = 1; i < n; ++i)
            total += x[i] * y[i];
        return total;
    }
    for (int k = 0; k < lanes; ++k)
        vector[k] = x[k] * y[k];
    int64_t i = lanes;
    for (; i + lanes <= n; i += lanes)
        for (int k = 0; k < lanes; ++k)
            vector[k] += x[i + k] * y[i + k];
    for (int k = 0; i + k < n; ++k)
        vector[k] = fmaf(x[i + k], y[i + k], vector[k]);
    return fold(vector, lanes);
}

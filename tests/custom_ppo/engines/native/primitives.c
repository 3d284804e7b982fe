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

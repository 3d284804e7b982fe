/* Matrix products as ATen makes them: addmm_impl_cpu_ (aten/src/ATen/native/LinearAlgebra.cpp) down to its sgemm.
 *
 * sgemm is column-major, so ATen exchanges the operands and calls for the transposed product. Transposition flags and
 * leading dimensions are ATen's to the last case: MKL chooses its code, and so the order of its sums, by them.
 */
#include "kernels.h"

typedef struct {
    const float *at;
    int stride[2];
} Operand;

static Operand operand(View view, bool exchange) {
    Operand result = {view.at, {exchange ? view.column : view.row, exchange ? view.row : view.column}};
    return result;
}

static int at_least_one(int x) { return x > 1 ? x : 1; }

/* fastest: whether the first stride walks along memory, so that the operand can be passed as it is */
static bool as_it_is(const Operand *operand, int leading) {
    return operand->stride[0] == 1 && operand->stride[1] >= at_least_one(leading);
}

void multiply(float *c, int n, int m, int k, View a, View b, float beta) {
    /* c [n, m] row-major is c^T [m, n] column-major, and c^T = b^T a^T. ATen leaves out the exchange if m == 1, as the
     * one column is column-major already. Below, `left` is [rows, k] and `right` [k, columns] of that product. */
    bool exchanged = m != 1;
    int n_rows = exchanged ? m : n, n_columns = exchanged ? n : m;
    Operand left = exchanged ? operand(b, true) : operand(a, false);
    Operand right = exchanged ? operand(a, true) : operand(b, false);
    bool plain_left = as_it_is(&left, n_rows), plain_right = as_it_is(&right, k);
    int lda = plain_left ? left.stride[1] : left.stride[0];
    int ldb = plain_right ? right.stride[1] : right.stride[0];
    int ldc = exchanged ? m : 1;

    /* normalize_last_dims (CPUBlas.cpp): a leading dimension that is never used must be large enough all the same. */
    if (n_columns == 1)
        ldc = n_rows;
    if (plain_left) {
        if (k == 1)
            lda = n_rows;
    } else if (n_rows == 1)
        lda = k;
    if (plain_right) {
        if (n_columns == 1)
            ldb = k;
    } else if (k == 1)
        ldb = n_columns;
    if (ldc < n_rows)
        ldc = n_rows;
    char transpose_left = plain_left ? 'n' : 't', transpose_right = plain_right ? 'n' : 't';
    sgemm(transpose_left, transpose_right, n_rows, n_columns, k, left.at, lda, right.at, ldb, beta, c, ldc);
}

enum { COLUMN_MAJOR = 102, NO_TRANSPOSE = 111 }; /* of cblas.h */

/* c^T [m, 1] = b^T [m, k] a^T [k, 1] for each i: cblas_sgemm_batch is called for column-major matrices, as sgemm. */
static void multiply_batch(float *c, int n, int m, int k, const float *a, const float *b) {
    enum { AT_ONCE = 256 };
    const float *left[AT_ONCE], *right[AT_ONCE], one = 1, zero = 0;
    float *results[AT_ONCE];
    const int no = NO_TRANSPOSE, one_row = 1;
    for (int64_t first = 0; first < n; first += AT_ONCE) {
        int size = (int)(n - first < AT_ONCE ? n - first : AT_ONCE);
        for (int i = 0; i < size; ++i) {
            left[i] = b + (first + i) * k * m;
            right[i] = a + (first + i) * k;
            results[i] = c + (first + i) * m;
        }
        torch_math.cblas_sgemm_batch(COLUMN_MAJOR, &no, &no, &m, &one_row, &k, &one, left, &m, right, &k, &zero,
                                     results, &m, 1, &size);
    }
}

/* at::bmm of [n, 1, k] and [n, k, m], n > 1 (bmm_out_or_baddbmm_, LinearAlgebra.cpp): a plain loop for small matrices
 * (baddbmm_cpu_kernel), else cblas_sgemm_batch (baddbmm_with_gemm_), which sums in another order than sgemm. */
void multiply_each(float *c, int n, int m, int k, const float *a, const float *b) {
    if ((int64_t)k * m >= 400) {
        multiply_batch(c, n, m, k, a, b);
        return;
    }
    for (int64_t i = 0; i < n; ++i)
        for (int j = 0; j < m; ++j) {
            float total = 0;
            for (int l = 0; l < k; ++l)
                total += a[i * k + l] * b[(i * k + l) * m + j];
            c[i * m + j] = total;
        }
}
